"""Zoho's own count of a module shows what bulk read leaves out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, Organisation
from local_zoho_crm.oauth import DEFAULT_SCOPES

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

COUNT = r"/actions/count$"


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=71, only=["Deals", "Leads"])


def test_records_that_bulk_read_leaves_out_are_reported(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    organisation.module("Deals").omitted.update(list(organisation.truth("Deals"))[:3])
    server = serve(organisation, page_size=4)

    run = tap.sync(server, verify_counts=True)

    assert len(run.records("Deals")) == 17
    assert run.line("Deals", "20", "17", "lag by up to ten minutes", level="WARNING")
    assert run.event("stream_ended", "Deals")["gap"] == 3
    assert run.event("stream_ended", "Leads")["gap"] == 0
    assert len(server.requests_matching("GET", COUNT)) == 2


def test_a_count_that_lags_is_said_to_lag(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, count_lag=timedelta(minutes=10))
    organisation.insert("Deals", count=2)
    options: dict[str, Any] = {"modules": ["Deals"], "verify_counts": True}

    run = tap.sync(server, **options)

    assert run.event("stream_ended", "Deals")["gap"] == -2
    (line,) = [each for each in run.stderr.splitlines() if "| WARNING " in each and "22" in each]
    assert line.index("lag by up to ten minutes") < line.index("if it persists")
    organisation.advance(timedelta(minutes=10))
    assert tap.sync(server, **options).event("stream_ended", "Deals")["gap"] == 0


def test_the_rows_of_a_subform_are_not_counted(tap: TapCommand, serve: Serve) -> None:
    server = serve(Organisation.generate(seed=71, only=["Quoted_Items"]))

    run = tap.sync(server, modules=["Quoted_Items"], verify_counts=True)

    assert run.event("stream_ended", "Quoted_Items")["gap"] is None
    assert not server.requests_matching("GET", COUNT)
    assert "| WARNING " not in run.stderr


def test_a_count_counts_what_came_before_a_stop_too(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=4)
    options: dict[str, Any] = {"modules": ["Deals"], "verify_counts": True}
    stopped = tap.sync(server, **options, api_credit_limit=120)
    assert 0 < len(stopped.records("Deals")) < 20

    second = tap.sync(server, **options, state=stopped.state)

    assert second.event("stream_ended", "Deals")["gap"] == 0


def test_a_custom_view_is_counted_as_it_is_read(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    (view,) = [
        each
        for each in organisation.module("Leads").custom_views
        if each.name == "Web, with an e-mail"
    ]
    server = serve(organisation)
    options = {"Leads": {"custom_view_id": view.id}}

    run = tap.sync(server, modules=["Leads"], module_options=options, verify_counts=True)

    assert 0 < len(run.records("Leads")) < 30
    assert run.event("stream_ended", "Leads")["gap"] == 0


def test_only_a_full_sync_is_compared(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    criteria = {"field": {"api_name": "Stage"}, "comparator": "equal", "value": "Closed Won"}
    narrowed = {"Deals": {"criteria": criteria}}
    first = tap.sync(server, modules=["Deals"], module_options=narrowed, verify_counts=True)
    tap.sync(server, start_date="2024-01-01T00:00:00Z", verify_counts=True)

    tap.sync(server, modules=["Deals"], state=first.state, verify_counts=True)

    assert not server.requests_matching("GET", COUNT)


def test_a_refused_count_names_its_own_scope(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, scopes=DEFAULT_SCOPES - {"ZohoSearch.securesearch.READ"})

    run = tap.sync(server, modules=["Deals"], verify_counts=True)

    line = run.line("OAUTH_SCOPE_MISMATCH", "Deals", level="WARNING")
    assert "scopes include ZohoSearch.securesearch.READ." in line
    assert "ZohoCRM.modules" not in line
    assert run.by_id("Deals") == organisation.truth("Deals")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 400, "body": {"code": "INVALID_MODULE", "message": "", "status": "error"}},
        {"status": 500},
        {"status": 200, "body": {"count": None}},
        {"status": 200, "body": {"count": "9" * 5_000}},
        {"status": 204, "body": ""},
    ],
    ids=["a refusal", "an outage", "no number", "no end of digits", "no content"],
)
def test_a_count_that_cannot_be_had_fails_nothing(
    tap: TapCommand, serve: Serve, organisation: Organisation, answer: dict[str, Any]
) -> None:
    server = serve(organisation)
    server.faults.add(Fault(kind="status", path=COUNT, times=None, **answer))

    run = tap.sync(server, modules=["Deals"], verify_counts=True)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert run.bookmark("Deals")["replication_key_value"]
    ended = run.event("stream_ended", "Deals")
    assert (ended["outcome"], ended["gap"]) == ("ok", None)
    assert [line for line in run.stderr.splitlines() if "| WARNING " in line and "Deals" in line]
