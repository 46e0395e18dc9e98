"""Zoho's limits and the user's are never exceeded, and a run that stops at one can resume."""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, RandomFaults, ZohoServer
from tap_zoho_bulk.api.rate_limit import RateLimit
from tap_zoho_bulk.exceptions import ExitCode, StoppedError
from tests.support.clock import FakeClock
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.structured_log import events_of
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from local_zoho_crm import Organisation
    from tests.conftest import Serve
    from tests.resilience.forks import Ended, TapForks
    from tests.support.singer import Json, TapCommand

JOB_CREDITS = 50


@pytest.mark.parametrize(("count", "seconds"), [(10, 60.0), (10, 600.0), (1, 60.0)])
@pytest.mark.parametrize("seed", range(5))
def test_zoho_never_sees_more_requests_in_a_span(count: int, seconds: float, seed: int) -> None:
    """This holds however long a request takes, and however long until the next."""
    clock = FakeClock()
    limit = RateLimit(count, seconds, "requests", clock=clock.monotonic)
    rng = random.Random(seed)
    arrived = []

    for _ in range(20 * count):
        with limit.slot(clock, "ask"):
            clock.now += rng.choice([0.0, 0.0, rng.uniform(0, seconds / 3)])
            arrived.append(clock.now)
            clock.now += rng.choice([0.0, rng.uniform(0, 1)])
        clock.now += rng.choice([0.0, 0.0, 0.0, rng.uniform(0, seconds / 5)])

    for first, one_too_many in zip(arrived, arrived[count:], strict=False):
        assert one_too_many - first > seconds - 1e-6
    # No wait is longer than necessary.
    assert all(0 <= each < seconds + 1e-6 for each in clock.waits)


def test_a_limit_lets_through_at_once_what_it_may() -> None:
    clock = FakeClock()
    limit = RateLimit(10, 60.0, "requests", clock=clock.monotonic)

    for _ in range(10):
        with limit.slot(clock, "ask"):
            pass
    assert clock.now == 0
    with limit.slot(clock, "ask"):
        assert clock.now == 60


def waits(caplog: pytest.LogCaptureFixture) -> list[Json]:
    """Return the events of waits for a limit."""
    return events_of(caplog.records, "limit_waited_for")


def test_a_wait_says_what_waits_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    limit = RateLimit(1, 60.0, "downloads", clock=clock.monotonic)
    about = {"stream": "Leads", "page": 3, "job_id": "5"}

    with caplog.at_level(logging.INFO):
        with limit.slot(clock, "download page 2", about):
            pass
        clock.now += 15
        with limit.slot(clock, "download page 3", about):
            pass

    (wait,) = waits(caplog)
    assert wait.items() >= {**about, "limit": "downloads", "seconds": 45.0}.items()
    assert "Waiting 45 s to download page 3: the limit is 1 downloads in 60 s." in caplog.text


def test_a_wait_behind_others_is_told_before_its_length_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = threading.Event()
    limit = RateLimit(1, 600.0, "downloads")

    def ask() -> None:
        with suppress(StoppedError), limit.slot(stop, "download page 3", {"page": 3}):
            pass

    thread = threading.Thread(target=ask)
    with caplog.at_level(logging.INFO):
        with limit.slot(stop, "download page 2"):
            thread.start()
            while not waits(caplog):
                stop.wait(0.01)
        while len(waits(caplog)) == 1:
            stop.wait(0.01)
        stop.set()
        thread.join(10)

    unknown, known = waits(caplog)
    assert "seconds" not in unknown
    assert 590 < known["seconds"] <= 600
    assert unknown["page"] == known["page"] == 3


def test_threads_share_a_limit_and_all_end_when_told_to_stop() -> None:
    stop = threading.Event()
    limit = RateLimit(3, 600.0, "requests")
    through, stopped = [], []

    def ask() -> None:
        try:
            with limit.slot(stop, "ask"):
                through.append(1)
        except StoppedError:
            stopped.append(1)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert len(through) <= 3
    assert len(through) + len(stopped) == 10


def sync(forks: TapForks, server: ZohoServer, target: UpsertingTarget, **settings: Any) -> Ended:
    """Run the tap once, from the last STATE, without metadata."""
    tap = forks.start(
        server.tap_config(**{**QUICK, **settings}),
        catalog=catalog(server.organisation),
        state=target.state,
    )
    return tap.read_lines(lambda line: bool(target.take(line)))


def check_whole(target: UpsertingTarget, organisation: Organisation) -> None:
    for stream in organisation.modules:
        assert target.by_id(stream) == organisation.truth(stream), stream


def test_requests_at_once_stay_within_the_edition(forks: TapForks) -> None:
    organisation = small_organisation({f"M{number}": 12 for number in range(10)})
    target = UpsertingTarget()
    with ZohoServer(organisation, page_size=5, latency=0.02, concurrent_requests=3) as server:
        ended = sync(forks, server, target, max_concurrent_requests=3, max_retries=0)

        assert ended.exit_code == 0, ended.stderr
        check_whole(target, organisation)
        assert server.peak_concurrency == 3  # exactly the limit
        assert not [request for request in server.requests if request.status == 429]


def test_signing_in_stays_within_ten_in_ten_minutes(forks: TapForks) -> None:
    """Rejected tokens do not make the tap request more tokens than Zoho allows."""
    organisation = small_organisation({"Orders": 20})
    target = UpsertingTarget()
    with ZohoServer(organisation, page_size=5) as server:
        dead = Fault(status=401, body={"code": "INVALID_TOKEN"}, path="/read", times=None)
        server.faults.add(dead)

        ended = sync(forks, server, target)

        assert ended.exit_code == ExitCode.FIX_FIRST
        assert "does not accept them" in ended.stderr
        assert len(server.requests_matching("POST", "/oauth/")) == 4


@pytest.mark.parametrize("trouble", ["none", "lost answers", "5xx", "too many requests"])
@pytest.mark.parametrize("limit", [260, 400])
def test_no_run_passes_the_credit_limit(forks: TapForks, limit: int, trouble: str) -> None:
    organisation = small_organisation({"Orders": 17, "Visits": 12, "Rooms": 3})
    target = UpsertingTarget()
    with ZohoServer(organisation, page_size=5, tokens_per_ten_minutes=None) as server:
        kinds = {
            "lost answers": "lost",
            "5xx": "server_error",
            "too many requests": "too_many_requests",
        }
        if trouble in kinds:
            server.faults.add(
                RandomFaults(seed=limit, rate=0.3, kinds=[kinds[trouble]], path=r"/read$")
            )
        spent_before = 0
        for _ in range(20):
            ended = sync(forks, server, target, api_credit_limit=limit, max_retries=4)
            assert server.credits - spent_before <= limit
            if "api_credit_limit" not in ended.stderr:
                break
            assert ended.exit_code == 0, ended.stderr
            spent_before = server.credits
        assert ended.exit_code == 0, ended.stderr
        check_whole(target, organisation)


def test_a_run_that_stops_at_the_credit_limit_pays_for_no_job_twice(forks: TapForks) -> None:
    organisation = small_organisation({"Orders": 30})
    target = UpsertingTarget()
    with ZohoServer(organisation, page_size=5) as server:
        runs = 0
        while target.by_id("Orders") != organisation.truth("Orders"):
            ended = sync(forks, server, target, api_credit_limit=180)
            runs += 1
            assert ended.exit_code == 0, ended.stderr
            assert runs < 5

        assert [job.page for job in server.jobs] == [1, 2, 3, 4, 5, 6]
        assert runs == 2


def test_runs_with_too_few_credits_read_every_stream_in_turn(tap: TapCommand, serve: Serve) -> None:
    organisation = small_organisation({f"Module_{number:02}": 3 for number in range(15)})
    everything = catalog(organisation, deleted=True)
    server = serve(organisation)
    target = UpsertingTarget()
    state: Any = None
    complete: Counter[str] = Counter()

    for _ in range(10):
        before = server.credits
        run = tap.sync(server, catalog=everything, state=state, api_credit_limit=200, **QUICK)
        state = run.state
        for line in run.stdout.splitlines():
            target.take(line.encode())
        ended = run.event("run_ended")
        assert server.credits - before <= 200
        assert ended["credits"] == server.credits - before
        assert ended["outcome"] == "incomplete"
        complete.update(organisation.modules.keys() - ended["incomplete"])
        assert run.line(*ended["incomplete"], "api_credit_limit", level="WARNING")
        assert run.events("stream_ended", "deleted_records")[-1]["outcome"] == "ok"

    check_whole(target, organisation)
    assert complete.keys() == organisation.modules.keys()
    assert max(complete.values()) - min(complete.values()) <= 1
