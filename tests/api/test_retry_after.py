"""Retry-After: how long a server asks to wait."""

from __future__ import annotations

import email.utils
from datetime import datetime, timedelta, timezone

import pytest

from tap_zoho_bulk.api.transport import retry_after_seconds


def http_date(instant: datetime) -> str:
    return email.utils.format_datetime(instant.astimezone(timezone.utc), usegmt=True)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("7", 7.0), (" 7 ", 7.0)])
def test_seconds_are_seconds(text: str, seconds: float) -> None:
    assert retry_after_seconds({"Retry-After": text}) == seconds


@pytest.mark.parametrize("text", ["", "-5", "soon", "1e99", "٣", "Mon, 01 Jan 99999 00:00:00 GMT"])
def test_anything_else_is_no_wait(text: str) -> None:
    assert retry_after_seconds({"Retry-After": text}) is None
    assert retry_after_seconds({}) is None


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(minutes=15), timedelta(days=-2)])
def test_a_date_is_read_by_the_servers_clock(behind: timedelta) -> None:
    """The local clock may be any time behind the server's, or ahead of it."""
    server_now = (datetime.now(timezone.utc) + behind).replace(microsecond=0)
    headers = {
        "Date": http_date(server_now),
        "Retry-After": http_date(server_now + timedelta(seconds=30)),
    }

    assert retry_after_seconds(headers) == 30.0


@pytest.mark.parametrize("date", [None, "today"])
def test_without_the_servers_clock_the_local_one_counts(date: str | None) -> None:
    headers = {"Retry-After": http_date(datetime.now(timezone.utc) + timedelta(seconds=100))}
    if date is not None:
        headers["Date"] = date

    seconds = retry_after_seconds(headers)

    assert seconds is not None
    assert 90 < seconds <= 100
    assert retry_after_seconds({"Retry-After": http_date(datetime(2020, 1, 1).astimezone())}) == 0.0
