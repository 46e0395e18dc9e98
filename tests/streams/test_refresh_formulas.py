"""Values that change without a new Modified_Time are read when due, with complete records."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Organisation
from tests.support.organisations import catalog, small_organisation
from tests.support.singer import select
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

WEEK: dict[str, Any] = {"refresh_formulas_days": 7, "modules": ["Deals"]}


def days_ago(state: Json, days: int, stream: str = "Deals") -> Json:
    """Return the state as if the last full read of the stream was this many days ago."""
    bookmark = state["bookmarks"][stream]
    then = datetime.fromisoformat(bookmark["read_whole"]) - timedelta(days=days)
    aged = {**bookmark, "read_whole": then.isoformat()}
    return {**state, "bookmarks": {**state["bookmarks"], stream: aged}}


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=81, only=["Deals", "Accounts"], sizes={"Deals": 40})


def test_a_week_later_every_formula_is_right_in_the_target(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    target = UpsertingTarget()
    first = tap.sync(server, **WEEK)
    take(target, first.stdout)
    for record_id in list(organisation.truth("Deals"))[:20]:
        organisation.update("Deals", record_id, Expected_Revenue=Decimal("12.34"))
    jobs = len(server.jobs)

    early = tap.sync(server, **WEEK, state=days_ago(first.state, 6))
    take(target, early.stdout)
    assert target.by_id("Deals") != organisation.truth("Deals")
    due = tap.sync(server, **WEEK, state=days_ago(early.state, 8))
    take(target, due.stdout)

    assert target.by_id("Deals") == organisation.truth("Deals")
    # One job is the minimum; changes do not need another one.
    assert len(server.jobs) - jobs == 2
    assert "`Expected_Revenue`" in due.stderr
    assert (
        due.bookmark("Deals")["replication_key_value"]
        == (early.bookmark("Deals")["replication_key_value"])
    )

    later = tap.sync(server, **WEEK, state=due.state)

    assert len(later.records("Deals")) < 40


def test_what_a_refresh_brings_is_the_whole_record(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    """Targets set missing properties to null."""
    server = serve(organisation)
    first = tap.sync(server, **WEEK)

    due = tap.sync(server, **WEEK, state=days_ago(first.state, 8))

    assert due.by_id("Deals") == organisation.truth("Deals")


def test_related_fields_are_refreshed_too(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    options = {
        "refresh_formulas_days": 7,
        "module_options": {"Deals": {"related_fields": ["Account_Name.Phone"]}},
    }
    names = select(
        tap.discover(server, **options),
        {"Deals": ["id", "Deal_Name", "Modified_Time", "Account_Name__Phone"]},
    )
    first = tap.sync(server, catalog=names, **options)
    for account in organisation.truth("Accounts"):
        organisation.update("Accounts", account, Phone="+1 555 0199")

    due = tap.sync(server, catalog=names, state=days_ago(first.state, 8), **options)

    fields = ["Deal_Name", "Modified_Time", "Account_Name.Phone"]
    truth = organisation.truth("Deals", fields)
    assert due.by_id("Deals") == truth
    assert "+1 555 0199" in {record["Account_Name__Phone"] for record in truth.values()}


def test_a_module_without_such_fields_is_never_read_whole_for_them(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    names = select(tap.discover(server), {"Deals": ["id", "Deal_Name", "Modified_Time"]})
    first = tap.sync(server, catalog=names, **WEEK)

    second = tap.sync(server, catalog=names, state=days_ago(first.state, 100), **WEEK)

    assert len(second.records("Deals")) < 40


def test_a_sync_that_stopped_is_ended_before_a_refresh_begins(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=4)
    first = tap.sync(server, **WEEK)
    for record_id in list(organisation.truth("Deals"))[:10]:
        organisation.update("Deals", record_id)
    old = days_ago(first.state, 8)
    stopped = tap.sync(server, modules=["Deals"], state=old, api_credit_limit=100)
    assert stopped.bookmark("Deals")["bulk_read"]["page"] == 2

    ended = tap.sync(server, **WEEK, state=stopped.state)
    due = tap.sync(server, **WEEK, state=ended.state)

    assert "has changed since" not in ended.stderr
    assert len(ended.records("Deals")) < 10
    assert due.by_id("Deals") == organisation.truth("Deals")


def test_a_refresh_that_stops_goes_on_where_it_stopped(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=10)
    first = tap.sync(server, **WEEK)
    jobs = len(server.jobs)
    organisation.advance(timedelta(minutes=1))

    stopped = tap.sync(server, **WEEK, state=days_ago(first.state, 8), api_credit_limit=60)
    ended = tap.sync(server, **WEEK, state=stopped.state)

    found = {**stopped.by_id("Deals"), **ended.by_id("Deals")}
    assert found == organisation.truth("Deals")
    assert len(server.jobs) - jobs == 4
    assert ended.bookmark("Deals")["read_whole"] > first.bookmark("Deals")["read_whole"]


def test_a_catalog_that_tells_no_types_is_read_whole_and_said_so(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = small_organisation({"Deals": 9})
    server = serve(organisation)
    names = catalog(organisation)
    first = tap.sync(server, catalog=names, **WEEK)

    due = tap.sync(server, catalog=names, state=days_ago(first.state, 8), **WEEK)

    assert due.by_id("Deals") == organisation.truth("Deals")
    assert "discover it again" in due.stderr


def test_nothing_is_skipped_that_is_to_be_refreshed(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    first = tap.sync(server, **WEEK)
    organisation.advance(timedelta(hours=1))

    due = tap.sync(server, **WEEK, skip_unchanged=True, state=days_ago(first.state, 8))

    assert due.by_id("Deals") == organisation.truth("Deals")


def test_nothing_is_skipped_that_is_read_from_start_date_on_anyway(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    """For example, all changes since `start_date` are within the lookback."""
    server = serve(organisation)
    changed = [record["Modified_Time"] for record in organisation.truth("Deals").values()]
    start = datetime.fromisoformat(max(changed)) - timedelta(days=1)
    options = {
        **WEEK,
        "skip_unchanged": True,
        "start_date": start.isoformat(),
        "lookback_seconds": 2 * 86400,
    }
    first = tap.sync(server, **options)

    early = tap.sync(server, **options, state=days_ago(first.state, 6))
    due = tap.sync(server, **options, state=days_ago(first.state, 8))

    assert first.records("Deals")
    assert not early.records("Deals")
    assert due.by_id("Deals") == first.by_id("Deals")
    assert due.bookmark("Deals")["read_whole"] >= first.bookmark("Deals")["read_whole"]


def test_the_first_sync_is_a_refresh(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)

    first = tap.sync(server, **WEEK, start_date="2024-01-01T00:00:00Z")

    (job,) = server.jobs
    created = job.created_time.astimezone(timezone.utc).replace(microsecond=0).isoformat()
    assert first.bookmark("Deals")["read_whole"] == created


def take(target: UpsertingTarget, stdout: str) -> None:
    for line in stdout.split("\n")[:-1]:
        target.take(line.encode() + b"\n")
