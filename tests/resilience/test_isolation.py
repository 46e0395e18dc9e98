"""A failing stream does not affect others: they are complete, and the run reports the failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, ZohoServer
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.singer import select
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.resilience.forks import TapForks

SIZES = {"First": 12, "Middle": 12, "Undated": 7, "Last": 12}


def bad_job(server: ZohoServer, catalog: dict[str, Any], stream: str) -> None:
    del catalog
    server.faults.add(Fault(kind="job_failure", module=stream, times=None))


def bad_page(server: ZohoServer, catalog: dict[str, Any], stream: str) -> None:
    del catalog
    server.faults.add(Fault(kind="ragged_row", module=stream, skip=1, times=None))


def bad_value(server: ZohoServer, catalog: dict[str, Any], stream: str) -> None:
    del server
    (entry,) = [each for each in catalog["streams"] if each["stream"] == stream]
    entry["schema"]["properties"]["Name"] = {"type": ["integer", "null"]}


def bad_replication_key(server: ZohoServer, catalog: dict[str, Any], stream: str) -> None:
    del server
    (entry,) = [each for each in catalog["streams"] if each["stream"] == stream]
    entry |= {"replication_key": "Name", "replication_method": "INCREMENTAL"}


def unknown_field(server: ZohoServer, catalog: dict[str, Any], stream: str) -> None:
    del catalog
    server.organisation.module(stream).bulk_error = "INVALID_REQUEST"


@pytest.mark.parametrize(
    "breaks", [bad_job, bad_page, bad_value, bad_replication_key, unknown_field]
)
@pytest.mark.parametrize("failing", SIZES)
def test_the_others_are_whole(
    forks: TapForks,
    failing: str,
    breaks: Callable[[ZohoServer, dict[str, Any], str], None],
) -> None:
    organisation = small_organisation(SIZES, undated=["Undated"])
    target = UpsertingTarget()
    with ZohoServer(organisation, page_size=5) as server:
        chosen = catalog(organisation, deleted=True)
        breaks(server, chosen, failing)

        ended = forks.start(
            server.tap_config(**QUICK, max_concurrent_jobs=2), catalog=chosen
        ).read_lines(lambda line: bool(target.take(line)))

    assert ended.exit_code == ExitCode.STREAMS_FAILED
    errors = [line for line in ended.stderr.split("\n") if "| ERROR" in line]
    assert "1 of 5 streams failed" in errors[-1]
    assert failing in errors[-1]
    assert "Traceback" not in ended.stderr
    assert target.state is not None
    for stream in set(SIZES) - {failing}:
        assert target.by_id(stream) == organisation.truth(stream)
        bookmark = target.state["bookmarks"].get(stream, {})
        assert "bulk_read" not in bookmark
        assert ("replication_key_value" in bookmark) == (stream != "Undated")
    assert "replication_key_value" not in target.state["bookmarks"].get(failing, {})


def test_with_abort_the_run_ends_there_and_what_was_done_stays(forks: TapForks) -> None:
    organisation = small_organisation(SIZES)
    target = UpsertingTarget()
    with ZohoServer(organisation, page_size=5) as server:
        server.faults.add(Fault(kind="job_failure", module="Middle", times=None))
        chosen = catalog(organisation)

        ended = forks.start(
            server.tap_config(**QUICK, on_stream_error="abort"), catalog=chosen
        ).read_lines(lambda line: bool(target.take(line)))
        jobs = len(server.jobs)
        server.faults.clear()
        again = forks.start(
            server.tap_config(**QUICK), catalog=chosen, state=target.state
        ).read_lines(lambda line: bool(target.take(line)))

        assert ended.exit_code == ExitCode.TRY_AGAIN_LATER
        assert "Middle" in ended.stderr
        assert jobs
        assert again.exit_code == 0
    for stream in SIZES:
        assert target.by_id(stream) == organisation.truth(stream)


def test_a_stream_map_of_a_deselected_stream_changes_nothing(forks: TapForks) -> None:
    organisation = small_organisation(SIZES)
    target = UpsertingTarget()
    with ZohoServer(organisation) as server:
        chosen = select(catalog(organisation), dict.fromkeys(["First", "Last"]))
        maps = {"Middle": {"Name": "Name"}, "Last": {"Name": "Name.upper()"}}

        def take(line: bytes) -> bool:
            target.take(line)
            return True

        config = server.tap_config(**QUICK, stream_maps=maps)
        ended = forks.start(config, catalog=chosen).read_lines(take)

    assert ended.exit_code == 0, ended.stderr
    assert target.by_id("First") == organisation.truth("First")
    assert target.by_id("Last") == {
        record_id: {**record, "Name": record["Name"].upper()}
        for record_id, record in organisation.truth("Last").items()
    }
    assert target.streams == {"First", "Last"}


@pytest.mark.parametrize(
    "maps", [{"First": {"id": None}}, {"First": {"Name": "("}}, {"__x__": {"Name": "Name"}}]
)
def test_a_stream_map_that_cannot_be_applied_is_named_before_any_job(
    forks: TapForks, maps: dict[str, Any]
) -> None:
    organisation = small_organisation(SIZES)
    with ZohoServer(organisation) as server:
        config = server.tap_config(**QUICK, stream_maps=maps)
        ended = forks.start(config, catalog=catalog(organisation)).read_lines(lambda _: True)

        assert not server.jobs
    assert ended.exit_code == ExitCode.FIX_FIRST
    assert "Traceback" not in ended.stderr
    (why,) = [line for line in ended.stderr.splitlines() if "| INFO " not in line]
    assert "| ERROR " in why
    assert "`stream_maps`" in why
    assert "First" in why


@pytest.mark.parametrize(
    ("field", "expression", "reason"),
    [
        ("Name", "Title.upper()", "Title"),
        ("Name", "int(Name)", "ValueError"),
        ("__filter__", "len(Name) > 3", "len(Name) > 3"),
        ("__filter__", "int(Name) > 3", "ValueError"),
    ],
)
def test_a_stream_map_that_fails_at_a_record_fails_its_stream_without_a_traceback(
    forks: TapForks, field: str, expression: str, reason: str
) -> None:
    organisation = small_organisation(SIZES)
    maps = {"First": {field: expression}}
    target = UpsertingTarget()
    with ZohoServer(organisation) as server:
        config = server.tap_config(**QUICK, stream_maps=maps)
        ended = forks.start(config, catalog=catalog(organisation)).read_lines(
            lambda line: bool(target.take(line))
        )

    assert ended.exit_code == ExitCode.STREAMS_FAILED
    assert "Traceback" not in ended.stderr
    (why,) = [line for line in ended.stderr.splitlines() if "`stream_maps`" in line]
    assert "First" in why
    assert reason in why
    assert "First 0" not in why  # No value of a record
    assert target.by_id("Last") == organisation.truth("Last")
