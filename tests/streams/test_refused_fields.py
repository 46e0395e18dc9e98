"""Fields that Zoho refuses are remembered in STATE, and requested again when that is due."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_zoho_crm import Fault, Field
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.progress import Progress
from tap_zoho_bulk.bulk_read.refusals import (
    REFUSAL_LIFE,
    refusals_from_state,
    refusals_to_state,
)
from tap_zoho_bulk.exceptions import ExitCode
from tap_zoho_bulk.streams.module import ModuleStream
from tap_zoho_bulk.tap import TapZohoBulk
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.singer import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_zoho_crm import Organisation, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

REFUSED = ["Address", "Place"]
CREATE = r"^/crm/bulk/v\d/read$"


@pytest.fixture
def organisation() -> Organisation:
    organisation = small_organisation({"Orders": 25})
    for name in REFUSED:
        organisation.module("Orders").fields[name] = Field(name, "text", rejected=True)
    return organisation


def refused_requests(server: ZohoServer) -> int:
    return sum(each.status == 400 for each in server.requests_matching("POST", CREATE))


def check_told(run: TapRun, codes: list[str]) -> None:
    """Check that one line names both fields, with these codes of refusals in this run."""
    told = run.event("fields_left_out", "Orders")
    assert (told["names"], told["codes"]) == (REFUSED, codes)
    run.line("`Address`, `Place`", level="WARNING" if codes else "INFO")


def with_refused(state: Json, fields: Mapping[str, str]) -> Json:
    """Return the state with other fields that Zoho refused, and when."""
    changed: Json = json.loads(json.dumps(state))
    changed["bookmarks"]["Orders"]["refused_fields"]["fields"] = fields
    return changed


def test_a_refused_field_is_requested_once_and_told_in_one_line(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    settings = {"catalog": catalog(organisation), "skip_unchanged": True, **QUICK}

    first = tap.sync(server, **settings)
    assert first.by_id("Orders") == organisation.truth("Orders")
    record_id = next(iter(organisation.truth("Orders")))
    organisation.update("Orders", record_id, Name="changed")
    organisation.advance(timedelta(minutes=1))  # A change in a read's own second counts as new.
    second = tap.sync(server, state=first.state, **settings)
    organisation.advance(timedelta(hours=1))
    third = tap.sync(server, state=second.state, **settings)

    check_told(first, ["FIELD_NOT_SUPPORTED"])
    check_told(second, [])
    assert refused_requests(server) == len(REFUSED)
    changed = organisation.truth("Orders")[record_id]
    assert second.by_id("Orders")[record_id] == changed
    bookmark = second.bookmark("Orders")
    assert bookmark["replication_key_value"] == changed["Modified_Time"]
    assert bookmark["refused_fields"] == first.bookmark("Orders")["refused_fields"]
    assert third.bookmark("Orders") == bookmark
    assert len(server.jobs) == 2  # The third run found that nothing had changed.


def test_a_field_that_zoho_exports_later_comes_back(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    settings = {"catalog": catalog(organisation, method="FULL_TABLE"), **QUICK}

    first = tap.sync(server, **settings)
    organisation.module("Orders").fields["Place"].rejected = False
    second = tap.sync(server, state=first.state, **settings)
    lately, long_ago = (
        (datetime.now(timezone.utc) - timedelta(days=days)).isoformat() for days in (29, 31)
    )
    aged = with_refused(second.state, {"Address": lately, "Place": long_ago})
    third = tap.sync(server, state=aged, **settings)

    check_told(second, [])
    assert second.by_id("Orders") == first.by_id("Orders")
    assert third.by_id("Orders") == organisation.truth("Orders")
    assert "Place" in third.records("Orders")[0]
    assert third.event("fields_left_out")["names"] == ["Address"]
    assert third.bookmark("Orders")["refused_fields"]["fields"] == {"Address": lately}
    assert refused_requests(server) == len(REFUSED)


def orders(streams: Json, state: Json, **settings: Any) -> ModuleStream:
    """Return the stream of a tap that makes no request."""
    secrets = dict.fromkeys(("client_id", "client_secret", "refresh_token"), "x")
    tap = TapZohoBulk(config={**secrets, **settings}, catalog=streams, state=state)
    stream = tap.streams["Orders"]
    assert isinstance(stream, ModuleStream)
    return stream


def refused(streams: Json, state: Json, **settings: Any) -> tuple[str, ...]:
    """Return the fields that a run would leave out at once."""
    stream = orders(streams, state, **settings)
    return stream.refused_fields(stream.plan().query)


@pytest.fixture
def streams(organisation: Organisation) -> Json:
    return catalog(organisation)


@pytest.fixture
def state(streams: Json) -> Json:
    """Return the state after a complete read."""
    stream = orders(streams, {})
    query, now = stream.plan().query, datetime.now(timezone.utc).isoformat()
    last = Position(2, job_id="5", started=now, rejected=tuple(REFUSED))
    stream.completed(query, Progress(query.fingerprint, last))
    return {"bookmarks": {"Orders": stream.stream_state}}


def test_a_field_is_requested_again_when_the_request_changes(streams: Json, state: Json) -> None:
    fewer, other = json.loads(json.dumps([streams, streams]))
    metadata(fewer, "Orders", "Notes")["selected"] = False
    other["streams"][0]["schema"]["properties"]["Place"]["type"] = ["number", "null"]

    assert refused(streams, state) == tuple(REFUSED)
    assert refused(streams, state, start_date="2026-01-01T00:00:00Z") == tuple(REFUSED)
    assert refused(streams, state, api_version="v7") == ()
    assert refused(fewer, state) == ()
    assert refused(other, state) == ()


def test_no_state_leaves_out_the_key_or_the_replication_key(streams: Json, state: Json) -> None:
    now = datetime.now(timezone.utc).isoformat()
    names = ["Modified_Time", "id", "Place", "Nothing"]

    assert refused(streams, with_refused(state, dict.fromkeys(names, now))) == ("Place",)


def test_a_refused_replication_key_fails_the_stream_and_is_not_remembered(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    organisation.module("Orders").fields["Modified_Time"].rejected = True
    server = serve(organisation)

    run = tap.run(server, catalog=catalog(organisation), **QUICK)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("FIELD_NOT_SUPPORTED", "Modified_Time")
    assert "refused_fields" not in json.dumps(run.messages)


def test_a_chain_that_stopped_resumes_without_the_refused_fields(
    tap: TapCommand, serve: Serve, organisation: Organisation, streams: Json
) -> None:
    server = serve(organisation, page_size=10)
    server.faults.add(Fault(kind="job_failure", module="Orders", skip=1, times=None))
    stopped = tap.run(server, catalog=streams, **QUICK)
    server.faults.clear()

    rest = tap.sync(server, catalog=streams, state=stopped.state, **QUICK)
    assert stopped.exit_code == ExitCode.TRY_AGAIN_LATER
    assert stopped.bookmark("Orders")["bulk_read"]["page"] == 2
    assert rest.event("chain_resumed", "Orders")["page"] == 2
    assert {**stopped.by_id("Orders"), **rest.by_id("Orders")} == organisation.truth("Orders")
    check_told(rest, [])
    assert [*rest.bookmark("Orders")["refused_fields"]["fields"]] == REFUSED
    assert refused_requests(server) == len(REFUSED)


def test_refusals_are_remembered_for_their_life_and_their_request() -> None:
    now = datetime.now(timezone.utc)
    minute = timedelta(minutes=1)
    fields: dict[str, str | None] = {
        "New": (now - REFUSAL_LIFE + minute).isoformat(),
        "Old": (now - REFUSAL_LIFE - minute).isoformat(),
        "Future": (now + REFUSAL_LIFE + minute).isoformat(),
    }
    state = json.loads(json.dumps(refusals_to_state(fields, "request")))

    assert refusals_from_state(state, "request") == {"New": fields["New"]}
    assert refusals_from_state(state, "another") == {}


VALUES = st.none() | st.integers() | st.text(max_size=5) | st.just("0001-01-01T00:00:00+14:00")


@given(
    VALUES
    | st.fixed_dictionaries({"request": st.just("request")})
    | st.fixed_dictionaries(
        {
            "request": st.just("request"),
            "fields": VALUES | st.lists(VALUES) | st.dictionaries(st.text(max_size=3), VALUES),
        }
    )
)
def test_what_no_tap_wrote_is_no_refusal(state: Any) -> None:
    assert refusals_from_state(state, "request") == {}
