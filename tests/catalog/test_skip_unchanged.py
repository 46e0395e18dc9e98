"""A module that has certainly not changed costs one credit instead of a job."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, Organisation
from tests.reporting.test_summary import table
from tests.support.organisations import catalog, small_organisation
from tests.support.singer import as_full_table

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
LOOK = r"^/crm/v8/(Deals|Leads)$"


@pytest.fixture
def organisation() -> Organisation:
    organisation = Organisation.generate(seed=71, only=["Deals", "Leads"])
    organisation.set_now(NOON)
    return organisation


def test_a_quiet_module_costs_one_credit_and_its_bookmark_stays(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    names = catalog_of(tap, server)
    first = tap.sync(server, catalog=names, skip_unchanged=True)
    organisation.advance(HOUR)
    organisation.update("Leads", next(iter(organisation.truth("Leads"))))
    spent, jobs = server.credits, len(server.jobs)

    second = tap.sync(server, catalog=names, state=first.state, skip_unchanged=True)

    assert [job.module for job in server.jobs[jobs:]] == ["Leads"]
    assert server.credits - spent == 1 + (1 + 50 + 1 + 1)
    assert not second.records("Deals")
    assert second.bookmark("Deals") == first.bookmark("Deals")
    assert second.by_id("Leads")
    assert table(second.stderr)["Deals"]["outcome"] == "unchanged"
    assert table(second.stderr)["Deals"]["credits"] == "1"


def test_without_the_setting_nobody_looks(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    first = tap.sync(server)
    organisation.advance(HOUR)

    tap.sync(server, state=first.state)

    assert not server.requests_matching("GET", LOOK)
    assert len(server.jobs) == 4


def test_a_change_in_the_very_second_of_the_last_look_is_brought(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    first = tap.sync(server, skip_unchanged=True)
    organisation.update("Deals", next(iter(organisation.truth("Deals"))), Deal_Name="later")
    organisation.advance(HOUR)

    second = tap.sync(server, state=first.state, skip_unchanged=True)

    assert [record["Deal_Name"] for record in second.records("Deals")].count("later") == 1


def test_the_look_goes_as_far_back_as_lookback_seconds(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    first = tap.sync(server, skip_unchanged=True)
    organisation.advance(HOUR)

    tap.sync(server, state=first.state, skip_unchanged=True, lookback_seconds=90)

    looks = server.requests_matching("GET", LOOK)
    assert len(looks) == 2
    for look in looks:
        since = datetime.fromisoformat(look.headers["if-modified-since"])
        assert since == NOON - timedelta(seconds=91)
        assert look.query["converted"] == look.query["approved"] == "both"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 403, "body": {"code": "NO_PERMISSION", "message": "", "status": "error"}},
        {
            "status": 401,
            "body": {"code": "OAUTH_SCOPE_MISMATCH", "message": "", "status": "error"},
        },
        {"status": 500},
        {"status": 200, "body": {"data": []}},
        {"status": 200, "body": {"info": {}}},
    ],
    ids=["no permission", "no scope", "an outage", "an empty list", "no list"],
)
def test_anything_unclear_means_that_the_job_is_made(
    tap: TapCommand, serve: Serve, organisation: Organisation, answer: dict[str, Any]
) -> None:
    server = serve(organisation)
    first = tap.sync(server, modules=["Deals"], skip_unchanged=True)
    organisation.advance(HOUR)
    server.faults.add(Fault(kind="status", path=LOOK, times=None, **answer))

    second = tap.sync(server, modules=["Deals"], state=first.state, skip_unchanged=True)

    assert server.requests_matching("GET", LOOK)
    assert len(server.jobs) == 2
    assert second.records("Deals")


def test_an_answer_without_content_means_unchanged_too(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    first = tap.sync(server, modules=["Deals"], skip_unchanged=True)
    organisation.advance(HOUR)
    server.faults.add(Fault(kind="status", path=LOOK, status=204, body=""))

    tap.sync(server, modules=["Deals"], state=first.state, skip_unchanged=True)

    assert len(server.jobs) == 1


def test_what_is_to_be_read_anyway_is_not_looked_at(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    """A first sync, a full table, a bookmark that a user has changed."""
    server = serve(organisation)
    first = tap.sync(server, skip_unchanged=True)
    moved = as_moved(first, "Deals", "2020-01-01T00:00:00+00:00")
    organisation.advance(HOUR)

    again = tap.sync(server, modules=["Deals"], state=moved, skip_unchanged=True)
    whole = as_full_table(catalog_of(tap, server))
    tap.sync(server, catalog=whole, state=first.state, skip_unchanged=True)

    assert again.by_id("Deals") == organisation.truth("Deals")
    assert not server.requests_matching("GET", LOOK)


def test_other_criteria_are_no_reason_to_skip(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    """Older records that the previous criteria left out are new to the target."""
    server = serve(organisation)
    deals = sorted(organisation.truth("Deals").values(), key=lambda deal: deal["Modified_Time"])
    of_old, of_new = (
        {"module_options": {"Deals": {"criteria": only(deal)}}} for deal in deals[-2:]
    )
    options: dict[str, Any] = {"modules": ["Deals"], "skip_unchanged": True}
    first = tap.sync(server, **options, **of_old)
    organisation.advance(HOUR)

    same = tap.sync(server, **options, **of_old, state=first.state)
    other = tap.sync(server, **options, **of_new, state=same.state)

    assert set(first.by_id("Deals")) == {deals[-2]["id"]}
    assert not same.records("Deals")
    assert set(other.by_id("Deals")) == {deals[-1]["id"]}


def only(deal: dict[str, Any]) -> dict[str, Any]:
    return {"field": {"api_name": "id"}, "comparator": "equal", "value": deal["id"]}


def test_a_sync_that_stopped_goes_on_without_a_look(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=4)
    first = tap.sync(server, modules=["Deals"], skip_unchanged=True)
    for record_id in list(organisation.truth("Deals"))[:10]:
        organisation.update("Deals", record_id)
    organisation.advance(HOUR)
    stopped = tap.sync(
        server, modules=["Deals"], state=first.state, skip_unchanged=True, api_credit_limit=100
    )
    assert stopped.bookmark("Deals")["bulk_read"]["page"] == 2
    looks = len(server.requests_matching("GET", LOOK))

    second = tap.sync(server, modules=["Deals"], state=stopped.state, skip_unchanged=True)

    assert len(server.requests_matching("GET", LOOK)) == looks == 1
    found = {**stopped.by_id("Deals"), **second.by_id("Deals")}
    bookmark = first.bookmark("Deals")["replication_key_value"]
    assert found == {
        key: record
        for key, record in organisation.truth("Deals").items()
        if record["Modified_Time"] >= bookmark
    }


def test_sixty_modules_of_which_five_change_an_hour(tap: TapCommand, serve: Serve) -> None:
    """The figures in the documentation."""
    sizes = {f"Module_{number}": 3 for number in range(60)}
    organisation = small_organisation(sizes)
    organisation.set_now(NOON)
    server = serve(organisation)
    names = catalog(organisation)
    state = tap.sync(server, catalog=names, skip_unchanged=True).state
    spent = {}

    for skip in (False, True):
        organisation.advance(HOUR)
        for number in range(5):
            module = f"Module_{number}"
            organisation.update(module, next(iter(organisation.truth(module))))
        before = server.credits
        run = tap.sync(server, catalog=names, state=state, skip_unchanged=skip)
        spent[skip] = server.credits - before
        assert {f"Module_{number}" for number in range(5)} <= run.streams

    assert spent == {False: 60 * 52, True: 60 + 5 * 52}


def catalog_of(tap: TapCommand, server: ZohoServer) -> Json:
    catalog = tap.discover(server)
    catalog["streams"] = [
        each for each in catalog["streams"] if each["tap_stream_id"] in {"Deals", "Leads"}
    ]
    return catalog


def as_moved(run: TapRun, stream: str, bookmark: str) -> Json:
    """Return the state of a run with another bookmark."""
    state = run.state
    moved = {**state["bookmarks"][stream], "replication_key_value": bookmark}
    return {**state, "bookmarks": {**state["bookmarks"], stream: moved}}
