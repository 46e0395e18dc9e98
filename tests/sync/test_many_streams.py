"""Several streams' jobs run in parallel at Zoho, within the limit, and do not block one another."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Fault, Organisation
from tap_zoho_bulk.exceptions import ExitCode

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

MODULES = ["Accounts", "Calls", "Campaigns", "Deals", "Events", "Products", "Quotes", "Tasks"]


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=111, only=MODULES)


@pytest.mark.parametrize("limit", [1, 3, 20])
def test_any_number_of_jobs_at_once_brings_everything(
    tap: TapCommand, serve: Serve, organisation: Organisation, limit: int
) -> None:
    server = serve(organisation, page_size=4)
    server.faults.add(Fault(kind="ragged_row", module="Deals"))

    run = tap.sync(server, max_concurrent_jobs=limit)

    for name in MODULES:
        found = {record["id"]: record for record in run.records(name)}
        assert found == organisation.truth(name)


def test_jobs_run_side_by_side_within_the_limit(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    # The first three jobs' results are delayed until all three are requested.
    three = threading.Barrier(3, timeout=20)
    places = iter(range(3))
    created_before_first_file: list[int] = []

    def meet(request: LoggedRequest) -> None:
        if request.path.endswith("/result") and next(places, None) is not None:
            three.wait()
            created_before_first_file.append(len(server.jobs))

    server.on_request = meet
    run = tap.sync(server, max_concurrent_jobs=3)

    assert created_before_first_file[0] == 3
    for name in MODULES:
        assert run.by_id(name) == organisation.truth(name)


def test_requests_stay_within_the_limit_however_many_jobs_run(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=4, latency=0.02)

    run = tap.sync(server, max_concurrent_jobs=len(MODULES), max_concurrent_requests=2)

    assert server.peak_concurrency == 2
    assert run.by_id("Deals") == organisation.truth("Deals")


def test_a_slow_first_stream_does_not_stop_the_others_jobs(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    last = threading.Event()

    def wait_for_the_last(request: LoggedRequest) -> None:
        jobs = server.jobs
        if jobs and request.path.endswith(f"/read/{jobs[0].id}/result"):
            last.wait(20)
        elif {job.module for job in jobs} == set(MODULES):
            last.set()

    server.on_request = wait_for_the_last
    run = tap.sync(server, max_concurrent_jobs=len(MODULES), max_concurrent_requests=10)

    assert last.is_set()
    for name in MODULES:
        assert run.by_id(name) == organisation.truth(name)


def test_a_chain_may_be_long(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Deals"], sizes={"Deals": 40})
    server = serve(organisation, page_size=1)

    run = tap.sync(server)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert [job.page for job in server.jobs] == list(range(1, 41))


def test_spooled_pages_leave_nothing_behind(
    tap: TapCommand,
    serve: Serve,
    organisation: Organisation,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    server = serve(organisation, page_size=4)

    run = tap.sync(server, spool_directory=str(folder))

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert not list(folder.iterdir())


def test_a_spool_directory_that_is_not_there_is_told(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)

    run = tap.run(server, spool_directory="/no/such/folder")

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "config['spool_directory']" in run.stderr
    assert server.requests == []
    assert "Traceback" not in run.stderr
