"""A run that is stopped anywhere, in any way, resumes from the last STATE, and no data is missing.

The points: before each request is handled, after each response, and after each STATE line. The
ways: `kill -9`, SIGTERM, a target that closes the pipe, a network that fails from then on.
"""

from __future__ import annotations

import math
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import pytest

from local_zoho_crm import Fault, ZohoServer
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from local_zoho_crm import LoggedRequest
    from tests.resilience.forks import Ended, ForkedTap, TapForks

PAGE_SIZE = 5
SIZES = {"Orders": 17, "Visits": 12, "Rooms": 3}
PAGES = {stream: math.ceil(size / PAGE_SIZE) for stream, size in SIZES.items()}
JOBS_AT_LEAST = sum(PAGES.values())
REQUESTS, STATES = 28, 16  # the maximum of an undisturbed run, as a test checks
AT_ONCE = 8
GONE_ID, GONE_VERSION = "1", 1

Method = Literal["INCREMENTAL", "FULL_TABLE"]
METHODS: tuple[Method, ...] = ("INCREMENTAL", "FULL_TABLE")
Way = Literal[
    "kill before the request",
    "kill after the answer",
    "SIGTERM at the request",
    "network lost",
    "kill after STATE",
    "kill after STATE, the rest of the pipe lost",
    "SIGTERM after STATE",
    "target crashes after STATE",
]
AT_REQUESTS: tuple[Way, ...] = (
    "kill before the request",
    "kill after the answer",
    "SIGTERM at the request",
    "network lost",
)
AT_STATES: tuple[Way, ...] = (
    "kill after STATE",
    "kill after STATE, the rest of the pipe lost",
    "SIGTERM after STATE",
    "target crashes after STATE",
)


@dataclass(frozen=True)
class Crash:
    """Where and how a run is stopped."""

    method: Method
    version: str
    way: Way
    at: int


@dataclass(frozen=True)
class Recovery:
    """The runs and jobs until all data had arrived."""

    crash: Crash
    runs: int
    jobs_paid_twice: int


def all_crashes(version: str) -> list[Crash]:
    return [
        Crash(method, version, way, at)
        for ways, last in ((AT_REQUESTS, REQUESTS), (AT_STATES, STATES))
        for method, way, at in product(METHODS, ways, range(1, last + 1))
    ]


class Blow:
    """Stops a run at its point."""

    def __init__(self, crash: Crash | None, tap: ForkedTap, server: ZohoServer) -> None:
        self.pipe_lost = False
        self._crash = crash
        self._tap = tap
        self._server = server
        self._lock = threading.Lock()
        self._seen = 0
        if crash is not None and crash.way == "kill after the answer":
            server.on_response = self._request_seen
        elif crash is not None and crash.way in AT_REQUESTS:
            server.on_request = self._request_seen

    def _is_the_point(self) -> bool:
        with self._lock:
            self._seen += 1
            return self._crash is not None and self._seen == self._crash.at

    def _request_seen(self, _: LoggedRequest) -> None:
        if self._crash is None or not self._is_the_point():
            return
        if self._crash.way == "network lost":
            self._server.faults.add(Fault(kind="reset", times=None))
        else:
            gently = self._crash.way == "SIGTERM at the request"
            self._tap.send_signal(signal.SIGTERM if gently else signal.SIGKILL)

    def state_seen(self) -> bool:
        """Stop the run if this is its point; return False if it is the target that crashes."""
        if self._crash is None or self._crash.way not in AT_STATES or not self._is_the_point():
            return True
        if self._crash.way == "target crashes after STATE":
            return False
        gently = self._crash.way == "SIGTERM after STATE"
        self._tap.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
        self.pipe_lost = self._crash.way == "kill after STATE, the rest of the pipe lost"
        return True


class Scene:
    """An organisation, its server, and a warehouse with the data of the runs so far."""

    def __init__(self, forks: TapForks, method: Method, version: str) -> None:
        self.organisation = small_organisation(SIZES)
        self.server = ZohoServer(
            self.organisation, page_size=PAGE_SIZE, tokens_per_ten_minutes=None
        )
        self.target = UpsertingTarget()
        self.activated: list[str] = []
        self._forks = forks
        self._method = method
        self._catalog = catalog(self.organisation, method=method)
        self._config = {
            "api_version": version,
            "emit_activate_version_messages": True,
            "max_retries": 0,
            "request_timeout_seconds": 20,
            **{key: value for key, value in QUICK.items() if key != "max_retries"},
        }
        if method == "FULL_TABLE":
            for stream in SIZES:
                # A row that Zoho no longer has: it must be removed once all others have arrived.
                self.target.preload(stream, {"id": GONE_ID}, version=GONE_VERSION)

    def run(self, crash: Crash | None = None) -> Ended:
        """Run the tap once, from the last STATE that the target confirmed, into the target."""
        tap = self._forks.start(
            self.server.tap_config(**self._config),
            catalog=self._catalog,
            state=self.target.state,
        )
        blow = Blow(crash, tap, self.server)
        try:
            return tap.read_lines(lambda line: self._take(line, blow))
        finally:
            self.server.on_request = self.server.on_response = None
            self.server.faults.clear()

    def _take(self, line: bytes, blow: Blow) -> bool:
        """Pass a line to the target; return False if the target crashes."""
        if blow.pipe_lost:
            return True
        kind = self.target.take(line)
        if kind == "ACTIVATE_VERSION":
            self._check_whole(line)
        return kind != "STATE" or blow.state_seen()

    def _check_whole(self, line: bytes) -> None:
        """Check that all rows have arrived before old rows are removed."""
        (stream,) = [name for name in SIZES if f'"{name}"'.encode() in line]
        assert self.target.by_id(stream) == self.organisation.truth(stream)
        self.activated.append(stream)

    def jobs_of_a_run(self) -> int:
        """Return the minimum number of jobs of the next run: none for a page that has a job.

        Completed streams are read again: all pages of a full table, one page of changes.
        """
        bookmarks = (self.target.state or {"bookmarks": {}})["bookmarks"]
        finished = [
            stream
            for stream in SIZES
            if "bulk_read" not in bookmarks.get(stream, {})
            and (stream in self.activated or "replication_key_value" in bookmarks.get(stream, {}))
        ]
        self.activated.clear()
        if self._method == "INCREMENTAL":
            return len(finished)
        return sum(PAGES[stream] for stream in finished)

    def check(self) -> None:
        """Compare the warehouse with what Zoho has."""
        for stream in SIZES:
            assert self.target.by_id(stream) == self.organisation.truth(stream), stream
        assert self.target.state is not None
        bookmarks = self.target.state["bookmarks"]
        assert not [name for name, value in bookmarks.items() if "bulk_read" in value]
        if self._method == "FULL_TABLE":
            assert set(self.activated) == set(SIZES)
        else:
            for stream in SIZES:
                times = [row["Modified_Time"] for row in self.organisation.truth(stream).values()]
                assert bookmarks[stream]["replication_key_value"] == max(times)


def recover(forks: TapForks, crashes: Sequence[Crash]) -> Recovery:
    """Crash one run after another, and run again until one succeeds."""
    scene = Scene(forks, crashes[0].method, crashes[0].version)
    with scene.server:
        ended = scene.run(crashes[0])
        runs, jobs_at_least = 1, JOBS_AT_LEAST
        while ended.exit_code != 0 or runs < len(crashes):
            assert runs < len(crashes) + 2, f"{crashes}: no end; it said:\n{ended.stderr[-3000:]}"
            jobs_at_least += scene.jobs_of_a_run()
            ended = scene.run(crashes[runs] if runs < len(crashes) else None)
            runs += 1
        try:
            scene.check()
        except AssertionError as error:
            raise AssertionError(f"{crashes}: {error}\n{ended.stderr[-3000:]}") from error
        return Recovery(crashes[0], runs, len(scene.server.jobs) - jobs_at_least)


def recover_all(forks: TapForks, stories: Iterable[Sequence[Crash]]) -> list[Recovery]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda crashes: recover(forks, crashes), stories))


def report(recoveries: list[Recovery]) -> None:
    """Print the cost of the crashes."""
    by_way: dict[str, list[int]] = {}
    for recovery in recoveries:
        by_way.setdefault(recovery.crash.way, []).append(recovery.jobs_paid_twice)
    print(f"\n{len(recoveries)} crashes of runs of {JOBS_AT_LEAST} jobs; jobs paid twice:")
    for way, twice in by_way.items():
        mean = sum(twice) / len(twice)
        print(f"  {way:<44} {len(twice):>4} points, {mean:.2f} on average, {max(twice)} at most")
    runs = Counter(recovery.runs for recovery in recoveries)
    print(f"  runs until all was there: {dict(sorted(runs.items()))}")


@pytest.mark.parametrize("method", METHODS)
def test_the_points_cover_a_whole_run(forks: TapForks, method: Method) -> None:
    scene = Scene(forks, method, "v8")
    with scene.server:
        ended = scene.run()

        assert ended.exit_code == 0, ended.stderr
        scene.check()
        # Jobs complete at once here; if they were polled more often, there would be more requests.
        assert len(scene.server.requests) <= REQUESTS
        assert scene.target.states <= STATES
        assert len(scene.server.jobs) == JOBS_AT_LEAST


def check_cost(recoveries: list[Recovery]) -> None:
    """Check that only jobs since the last STATE were paid twice; jobs here complete at once."""
    twice = [recovery.jobs_paid_twice for recovery in recoveries]
    assert max(twice) <= JOBS_AT_LEAST
    assert sum(twice) / len(twice) < 3
    assert not [
        each for each in recoveries if each.crash.way.startswith("SIGTERM") and each.jobs_paid_twice
    ]


def chosen_crashes(version: str, count: int) -> list[Crash]:
    """Return up to `count` points, chosen at random with a fixed seed."""
    crashes = all_crashes(version)
    return random.Random(version).sample(crashes, min(count, len(crashes)))


def test_points_of_a_run_that_pages_by_token(forks: TapForks, scale: int) -> None:
    recoveries = recover_all(forks, [[crash] for crash in chosen_crashes("v8", 220 * scale)])

    report(recoveries)
    assert {recovery.crash.way for recovery in recoveries} == {*AT_REQUESTS, *AT_STATES}
    check_cost(recoveries)
    told = [each.jobs_paid_twice for each in recoveries if each.crash.way in AT_STATES]
    assert sum(told) / len(told) < 1


def test_points_of_a_run_that_pages_by_number(forks: TapForks, scale: int) -> None:
    recoveries = recover_all(forks, [[crash] for crash in chosen_crashes("v6", 50 * scale)])

    report(recoveries)
    check_cost(recoveries)


def test_one_crash_after_another(forks: TapForks, scale: int) -> None:
    """Seven crashes at random points, each in the run that should recover from the previous one."""
    rng = random.Random(7)
    stories = []
    for _ in range(12 * scale):
        method = rng.choice(METHODS)
        like = [crash for crash in all_crashes("v8") if crash.method == method]
        stories.append(rng.choices(like, k=7))

    recoveries = recover_all(forks, stories)

    report(recoveries)
    assert {recovery.runs for recovery in recoveries} <= {7, 8, 9}
