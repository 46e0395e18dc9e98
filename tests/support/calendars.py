"""Calendars for the decoder, built without a server: any lines in a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.decode.ics.columns import COLUMNS
from tap_zoho_bulk.decode.ics.decoder import IcsDecoder
from tap_zoho_bulk.decode.invalid_values import InvalidValues
from tests.support.pages import page_of, zipped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_zoho_bulk.bulk_read.page import Page

FILE = "5725767000009000001.ics"
DEFAULTS = {"UID": "1@zoho.example", "DTSTART": "20240301T090000Z"}


def event(*lines: str, **properties: str | None) -> list[str]:
    """Return the lines of a VEVENT, without the properties that are None."""
    given = {**DEFAULTS, **properties}
    plain = [f"{name}:{value}" for name, value in given.items() if value is not None]
    named = {line.partition(":")[0].partition(";")[0] for line in lines}
    kept = [line for line in plain if line.partition(":")[0] not in named]
    return ["BEGIN:VEVENT", *kept, *lines, "END:VEVENT"]


def calendar(*components: Iterable[str], line_end: str = "\r\n") -> bytes:
    """Return a calendar with these components."""
    lines = [line for component in components for line in component]
    whole = ["BEGIN:VCALENDAR", "VERSION:2.0", *lines, "END:VCALENDAR"]
    return "".join(line + line_end for line in whole).encode()


def page(content: bytes, *, count: int = 1) -> Page:
    """Return a page whose job reported `count` events."""
    return page_of(zipped(content, FILE), count=count)


def decode(
    content: bytes, *names: str, count: int = 1, null_if_invalid: bool = False
) -> list[dict[str, Any]]:
    """Return the events of a file, with the key and these properties, by default all."""
    return decode_page(page(content, count=count), *names, null_if_invalid=null_if_invalid)


def decode_page(whole: Page, *names: str, null_if_invalid: bool = False) -> list[dict[str, Any]]:
    """Return the events of a page; otherwise like `decode`."""
    chosen = ["uid", "recurrence_id", *names] if names else list(COLUMNS)
    decoder = IcsDecoder(chosen, invalid=InvalidValues(become_null=null_if_invalid))
    return [record for chunk in decoder.chunks(whole) for record in chunk]


def decode_one(*lines: str, **properties: str | None) -> dict[str, Any]:
    """Return the record of one event with these lines."""
    (record,) = decode(calendar(event(*lines, **properties)))
    return record
