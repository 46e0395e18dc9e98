"""A later run reads all records that changed since the bookmark, and no others."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Field, Module, Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import as_full_table, entry

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

NOON = datetime(2025, 6, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(only=["Deals"], sizes={"Deals": 40})


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation)


def utc(instant: datetime) -> str:
    return f"{instant.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}+00:00"


def changed_since(organisation: Organisation, module: str, bookmark: str) -> dict[str, Json]:
    return {
        record_id: record
        for record_id, record in organisation.truth(module).items()
        if record["Modified_Time"] >= bookmark
    }


def latest(organisation: Organisation, module: str) -> str:
    return max(str(record["Modified_Time"]) for record in organisation.truth(module).values())


def test_the_second_run_brings_exactly_what_changed(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=31)
    server = serve(organisation, page_size=12)
    first = tap.sync(server)
    modules = [
        name
        for name, module in organisation.modules.items()
        if module.records and "Modified_Time" in module.fields
    ]
    assert len(modules) == 13
    for name in modules:
        before = organisation.truth(name)
        assert first.bookmark(name)["replication_key_value"] == latest(organisation, name)
        organisation.update(name, next(iter(before)))
        organisation.insert(name, count=2)
        organisation.delete(name, list(before)[-1])

    second = tap.sync(server, state=first.state)

    for name in modules:
        bookmark = first.bookmark(name)["replication_key_value"]
        expected = changed_since(organisation, name, bookmark)
        assert second.by_id(name) == expected
        # Only changes, and the record at the bookmark if it still exists.
        assert 3 <= len(expected) <= 4
        assert second.bookmark(name)["replication_key"] == "Modified_Time"
        assert second.bookmark(name)["replication_key_value"] == latest(organisation, name)
    # It has no Modified_Time, so it is read completely.
    assert second.by_id("DealHistory") == organisation.truth("DealHistory")


def test_a_run_without_changes_brings_the_records_of_the_last_instant(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    first = tap.sync(server)

    second = tap.sync(server, state=first.state)

    assert second.bookmark("Deals") == first.bookmark("Deals")
    bookmark = first.bookmark("Deals")["replication_key_value"]
    assert second.by_id("Deals") == changed_since(organisation, "Deals", bookmark)
    assert len(second.by_id("Deals")) == 1


@pytest.mark.parametrize(
    "bookmark",
    [
        "2024-03-01T12:00:00+00:00",
        "2024-03-01T12:00:00Z",
        "2024-03-01T04:00:00-08:00",
        "2024-03-01T12:00:00.5+00:00",
    ],
)
def test_a_bookmark_of_any_form_is_asked_for_as_zoho_takes_it(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, bookmark: str
) -> None:
    state = {
        "bookmarks": {
            "Deals": {"replication_key": "Modified_Time", "replication_key_value": bookmark}
        }
    }

    run = tap.sync(server, state=state)

    since = "2024-03-01T12:00:00+00:00"
    assert run.by_id("Deals") == changed_since(organisation, "Deals", since)
    (job,) = server.jobs
    assert job.query["criteria"] == {
        "field": {"api_name": "Modified_Time"},
        "comparator": "greater_equal",
        "value": since,
    }


@pytest.mark.parametrize("start_date", ["2024-03-01T00:00:00-08:00", "2024-03-01T08:00:00Z"])
def test_the_first_run_begins_at_start_date(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, start_date: str
) -> None:
    everything = organisation.truth("Deals")

    run = tap.sync(server, start_date=start_date)

    expected = changed_since(organisation, "Deals", "2024-03-01T08:00:00+00:00")
    assert run.by_id("Deals") == expected
    assert 0 < len(expected) < len(everything)


def test_start_date_is_no_upper_bound_for_a_later_bookmark(
    tap: TapCommand, server: ZohoServer
) -> None:
    first = tap.sync(server)

    second = tap.sync(server, state=first.state, start_date="2024-03-01T00:00:00Z")

    assert len(second.by_id("Deals")) == 1


def test_lookback_reads_again_behind_the_bookmark_but_not_before_start_date(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    first = tap.sync(server)
    bookmark = datetime.fromisoformat(first.bookmark("Deals")["replication_key_value"])
    day = timedelta(days=1)

    far = tap.sync(server, state=first.state, lookback_seconds=int((100 * day).total_seconds()))
    bounded = tap.sync(
        server,
        state=first.state,
        lookback_seconds=int((100 * day).total_seconds()),
        start_date=utc(bookmark - 50 * day),
    )

    expected = changed_since(organisation, "Deals", utc(bookmark - 100 * day))
    nearer = changed_since(organisation, "Deals", utc(bookmark - 50 * day))
    assert far.by_id("Deals") == expected
    assert bounded.by_id("Deals") == nearer
    assert 1 < len(nearer) < len(expected)
    # The lookback does not move the bookmark back.
    assert far.bookmark("Deals") == first.bookmark("Deals")


def test_what_changes_while_the_export_runs_comes_again(tap: TapCommand, serve: Serve) -> None:
    """The bookmark is not later than the first job's creation by the server's clock."""
    organisation = Organisation.generate(only=["Deals"], sizes={"Deals": 20})
    organisation.set_now(NOON)
    server = serve(organisation, page_size=10)
    once = threading.Lock()

    def change(request: LoggedRequest) -> None:
        if request.path.endswith("/result") and once.acquire(blocking=False):
            organisation.advance(HOUR)
            for record_id in organisation.truth("Deals"):
                organisation.update("Deals", record_id, Amount=None)

    server.on_request = change
    first = tap.sync(server)
    assert utc(NOON + HOUR) in {record["Modified_Time"] for record in first.records("Deals")}

    assert first.bookmark("Deals")["replication_key_value"] == utc(NOON)
    second = tap.sync(server, state=first.state)
    assert second.by_id("Deals") == organisation.truth("Deals")
    # Without changes, the bookmark catches up.
    assert second.bookmark("Deals")["replication_key_value"] == utc(NOON + HOUR)


def daylight_saving(organisation: Organisation) -> list[datetime]:
    """Return an organisation with a module that was changed in the repeated hour."""
    organisation.add_module(
        Module.of("Visits", Field("Name", "text"), Field("Modified_Time", "datetime"))
    )
    instants = [
        *(datetime(2024, 3, 10, 9, 59, 59, tzinfo=timezone.utc) + HOUR * n for n in range(3)),
        # 01:59:59 at -07:00, and 01:00:00 at -08:00 a second later.
        datetime(2024, 11, 3, 8, 30, tzinfo=timezone.utc),
        datetime(2024, 11, 3, 8, 59, 59, tzinfo=timezone.utc),
        datetime(2024, 11, 3, 9, 0, 0, tzinfo=timezone.utc),
    ]
    for number, instant in enumerate(instants):
        organisation.insert("Visits", values={"Name": f"{number}", "Modified_Time": instant})
    return instants


def test_daylight_saving_loses_and_repeats_nothing(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation(time_zone="America/Los_Angeles")
    instants = daylight_saving(organisation)
    last = instants[-1]
    organisation.set_now(last + timedelta(minutes=10))
    server = serve(organisation, page_size=4)

    first = tap.sync(server)

    assert sorted(record["Modified_Time"] for record in first.records("Visits")) == [
        utc(instant) for instant in instants
    ]
    assert first.by_id("Visits") == organisation.truth("Visits")
    assert first.bookmark("Visits")["replication_key_value"] == utc(last)
    organisation.set_now(last + timedelta(minutes=20))
    new = organisation.insert("Visits", count=1)

    second = tap.sync(server, state=first.state)

    expected = changed_since(organisation, "Visits", utc(last))
    assert second.by_id("Visits") == expected
    assert len(expected) == 2
    assert set(new) < set(expected)


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_is_off_loses_and_repeats_nothing(
    tap: TapCommand, serve: Serve, minutes: int
) -> None:
    organisation = Organisation(
        time_zone="America/Los_Angeles", clock_offset=timedelta(minutes=minutes)
    )
    daylight_saving(organisation)
    organisation.insert("Visits", count=3)  # now, by Zoho's clock
    server = serve(organisation)

    first = tap.sync(server)

    assert first.by_id("Visits") == organisation.truth("Visits")
    bookmark = first.bookmark("Visits")["replication_key_value"]
    assert bookmark == latest(organisation, "Visits")
    known = set(organisation.truth("Visits"))
    organisation.insert("Visits", count=2)

    second = tap.sync(server, state=first.state)

    expected = changed_since(organisation, "Visits", bookmark)
    assert second.by_id("Visits") == expected
    assert len(set(expected) - known) == 2
    assert len(expected) == 5


def test_a_full_table_stream_has_no_bookmark_and_comes_whole_again(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation.generate(only=["Deals"])
    server = serve(organisation)
    catalog = as_full_table(tap.discover(server), "Deals")

    first = tap.sync(server, catalog=catalog)
    second = tap.sync(server, catalog=catalog, state=first.state)

    assert second.by_id("Deals") == organisation.truth("Deals")
    assert "replication_key_value" not in second.bookmark("Deals")


def test_a_replication_key_that_is_no_instant_is_refused_by_name(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation.generate(only=["Deals", "Tasks"])
    server = serve(organisation)
    catalog = tap.discover(server)
    entry(catalog, "Deals")["replication_key"] = "Deal_Name"

    run = tap.run(server, catalog=catalog)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert "`Deal_Name`" in run.stderr
    assert "Deals" in run.stderr
    assert not server.jobs or {job.module for job in server.jobs} == {"Tasks"}


def test_state_keeps_the_bookmarks_of_streams_that_are_not_selected(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation.generate(only=["Deals", "Tasks"])
    server = serve(organisation)
    first = tap.sync(server)

    second = tap.sync(server, state=first.state, modules=["Deals"])

    assert second.bookmark("Tasks") == first.bookmark("Tasks")
    assert second.bookmark("Tasks")["replication_key_value"] == latest(organisation, "Tasks")
