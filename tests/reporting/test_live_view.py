"""On a terminal, users see what each job is doing; elsewhere, plain log lines."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.hostile_text import hostile
from tests.support.singer import FAST, TapRun
from tests.support.terminal import TerminalTap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from local_zoho_crm import ZohoServer
    from local_zoho_crm.request_log import LoggedRequest
    from tests.conftest import Serve

MODULES = ["Calls", "Deals", "Tasks"]
SOME = 500
ANSI = "\x1b["
MIN_COLUMNS = 80  # Narrower tables are cut.


class Start:
    """Starts the tap on a terminal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        server: ZohoServer,
        *,
        settings: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> TerminalTap:
        """Start the tap against a server, with these settings and options of `TerminalTap`."""
        config = self._folder / "config.json"
        config.write_text(json.dumps(server.tap_config(**{**FAST, **settings})))
        return TerminalTap(["--config", str(config)], **options)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=5, only=MODULES, sizes=dict.fromkeys(MODULES, SOME))


def held_back(server: ZohoServer, path: str) -> threading.Event:
    """Also delay the responses to matching requests until the event is set."""
    let_go = threading.Event()
    before = server.on_request

    def hold(request: LoggedRequest) -> None:
        if before is not None:
            before(request)
        if re.search(path, request.path):
            let_go.wait(30)

    server.on_request = hold
    return let_go


def shows(*parts: str) -> Callable[[list[str]], bool]:
    """Return whether a screen has a line with all of these parts, in this order."""
    pattern = re.compile(r"\b.*\b".join(map(re.escape, parts)))
    return lambda lines: any(pattern.search(line) for line in lines)


def test_the_view_shows_each_job_and_then_what_came_of_all(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    let_go = held_back(server, r"/read/\d+/result$")
    server.faults.add(Fault(kind="job_stuck", module="Tasks", times=None, polls=20))

    with start(server) as tap:
        tap.wait_for(shows("Tasks", "1", "IN PROGRESS"))
        tap.wait_for(shows("Deals", "1", "requesting"))
        tap.wait_for(lambda lines: "1 of 4 streams done, 3 active, 0 pending" in "\n".join(lines))
        let_go.set()
        assert tap.end() == 0
        lines, stdout = tap.lines, tap.stdout.decode()

    run = TapRun.of(0, stdout, "")
    for name in MODULES:
        assert run.by_id(name) == organisation.truth(name)
    table = {words[0]: words[1:] for words in map(str.split, lines) if words}
    assert table["Deals"][:2] == [f"{SOME:,}", "1"]
    assert table["Tasks"][-1] == "ok"
    assert table["all"][:2] == [f"{SOME * len(MODULES):,}", str(len(server.jobs))]
    spent = sum(int(table[name][-2]) for name in (*MODULES, "deleted_records"))
    assert table["all"][-1] == str(spent)
    # Neither the view nor the log's own table remains.
    assert "active" not in "\n".join(lines)
    assert "| stream" not in "\n".join(lines)


def test_the_view_tells_what_pages_wait_for(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    """A target that reads nothing blocks a page; the next is on disk, and the third is not."""
    server = serve(organisation, page_size=200)

    with start(server, settings={"max_spool_bytes": 1}, size=(120, 40)) as tap:
        tap.pause()
        tap.wait_for(shows("1", "waiting for target", "%"))
        tap.wait_for(shows("2", "waiting for target"))
        tap.wait_for(shows("3", "waiting for disk"))
        tap.go_on()
        assert tap.end() == 0


def test_the_view_tells_how_long_a_download_waits(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)

    with start(server, settings={"downloads_per_minute": 1}) as tap:
        tap.wait_for(shows("1", "waiting for slot", "left"))
        tap.wait_for(lambda lines: sum("waiting for slot" in line for line in lines) == 2)
        tap.terminate()
        assert tap.end() == 128 + signal.SIGTERM


def test_log_lines_stand_above_the_view(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    looks, results = held_back(server, r"/read/\d+$"), held_back(server, r"/read/\d+/result$")

    with start(server, size=(160, 40)) as tap:
        tap.wait_for(shows("Deals", "1", "created"))
        looks.set()  # Log lines are printed above the view.
        tap.wait_for(lambda lines: sum("completed with" in line for line in lines) == len(MODULES))
        lines = tap.wait_for(shows("Deals", "1", "requesting"))
        results.set()
        assert tap.end() == 0

    assert sum("completed with" in line for line in lines) == len(MODULES)
    told = max(number for number, line in enumerate(lines) if "| INFO" in line)
    head = next(number for number, line in enumerate(lines) if "streams done" in line)
    assert told < head


def test_the_view_counts_records_while_a_page_goes_out(start: Start, serve: Serve) -> None:
    many = 30_000
    organisation = Organisation.generate(only=["Calls"], sizes={"Calls": many}, awkward=0)

    with start(serve(organisation)) as tap:
        tap.pause()
        # The only page is not yet out, and some of its records count.
        state = r"(?:decoding|waiting for target) \d+%"
        going = re.compile(rf"Calls +1 +{state} +[\d:]+ +[1-9][\d,]* ").search

        def is_going(lines: list[str]) -> bool:
            tap.sip()
            return bool(going("\n".join(lines)))

        tap.wait_for(is_going)
        tap.go_on()
        assert tap.end() == 0
        assert len(TapRun.of(0, tap.stdout.decode(), "").records("Calls")) == many


def test_what_does_not_fit_is_counted(start: Start, serve: Serve) -> None:
    organisation = Organisation.generate()
    server = serve(organisation)
    let_go = held_back(server, r"/read/\d+$")

    def are_counted(lines: list[str]) -> bool:
        text = "\n".join(lines)
        rows = re.search(
            r"^stream +page .*\n((?:.+\n)+).* API credits; (\d+) more active", text, re.MULTILINE
        )
        active = re.search(r" (\d+) active,", text)
        if rows is None or active is None:
            return False
        # All of `max_concurrent_jobs`, and a stream without jobs if it waits for a request.
        return rows[1].count("\n") + int(rows[2]) == int(active[1]) >= 10

    with start(server, size=(80, 12)) as tap:
        tap.wait_for(are_counted)
        let_go.set()
        assert tap.end() == 0


def polled(server: ZohoServer) -> int:
    """Return the number of jobs whose state the tap has asked for."""
    paths = {request.path for request in server.requests}
    return sum(bool(re.search(r"/read/\d+$", path)) for path in paths)


def is_hidden(tap: TerminalTap) -> bool:
    """Return whether the terminal does not show its cursor."""
    return bool(tap.screen.cursor.hidden)


def check_end(tap: TerminalTap, outcome: str, jobs: int) -> None:
    """Check that only the log and the table of all streams remain on the terminal."""
    lines = tap.all_lines
    assert not [line for line in lines if re.search("active|API credits|[|] stream", line)]
    assert not re.search("\x1b\\[2J|\x1b\\]0|\x9b|\u202e|\n2026-01-02", tap.raw.decode())
    assert not is_hidden(tap)
    assert re.search(rf"Run ended:\s+{outcome},", tap.raw.decode())
    (totals,) = [line.split() for line in lines if line.startswith("all ")]
    if tap.screen.columns >= MIN_COLUMNS:
        rows = [line.split() for line in lines if line.startswith(tuple(MODULES))]
        rows = [row for row in rows if row[0] in MODULES]
        assert sorted(row[0] for row in rows) == MODULES
        assert sum(int(row[2]) for row in rows) == int(totals[2]) == jobs


@pytest.mark.parametrize(
    ("size", "number"),
    [((160, 40), signal.SIGTERM), ((36, 24), signal.SIGINT), ((80, 5), signal.SIGINT)],
    ids=str,
)
def test_a_stopped_sync_gives_the_terminal_back(
    start: Start,
    serve: Serve,
    organisation: Organisation,
    size: tuple[int, int],
    number: signal.Signals,
) -> None:
    server = serve(organisation)
    server.faults.add(Fault(kind="job_stuck", times=None, state=hostile("stuck")))

    with start(server, size=size) as tap:
        tap.wait_for(lambda lines: " of 4 streams" in "\n".join(lines))
        tap.wait_for(lambda _: polled(server) == len(MODULES))
        if number == signal.SIGINT:
            tap.interrupt()
        else:
            tap.terminate()
        assert tap.end() == 128 + number

    check_end(tap, "stopped", len(server.jobs))


def test_the_view_goes_away_at_once_however_long_the_target_takes(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    target, stdout = os.pipe()

    with start(server, stdout=stdout) as tap:
        os.close(stdout)
        tap.wait_for(lambda lines: "decoding" in "\n".join(lines))
        tap.interrupt()
        tap.wait_for(lambda lines: "active" not in "\n".join(lines) and not is_hidden(tap))
        os.close(target)
        assert tap.end() == 128 + signal.SIGINT

    check_end(tap, "target gone", len(server.jobs))


def test_a_run_that_ends_by_an_error_leaves_the_table_on_the_terminal(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    server.faults.add(Fault(kind="job_failure", module="Calls", times=None))

    with start(server, settings={"on_stream_error": "abort"}) as tap:
        assert tap.end() == ExitCode.TRY_AGAIN_LATER

    check_end(tap, "failed", len(server.jobs))


def test_a_terminal_that_goes_away_does_not_take_the_sync_along(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    let_go = held_back(server, r"/read/\d+/result$")

    with start(server) as tap:
        tap.wait_for(shows("Deals", "1", "requesting"))
        tap.hang_up()
        let_go.set()
        assert tap.end() == 0
        run = TapRun.of(0, tap.stdout.decode(), "")

    for name in MODULES:
        assert run.by_id(name) == organisation.truth(name)


@pytest.mark.parametrize(
    "environment",
    [
        {"NO_COLOR": "1"},
        {"CI": "true"},
        {"TERM": "dumb"},
        {"TTY_INTERACTIVE": "0"},
        {"TAP_ZOHO_BULK_LOGLEVEL": "WARNING"},
    ],
    ids=lambda environment: "=".join(*environment.items()),
)
def test_the_usual_variables_ask_for_plain_lines(
    start: Start, serve: Serve, organisation: Organisation, environment: Mapping[str, str]
) -> None:
    with start(serve(organisation), environment=environment) as tap:
        assert tap.end() == 0

    assert ANSI.encode() not in tap.raw
    assert b"streams done" not in tap.raw
    assert bool(re.search(rb"\| all +1,500 ", tap.raw)) == ("WARNING" not in environment.values())


def test_records_on_the_same_terminal_are_left_alone(
    start: Start, serve: Serve, organisation: Organisation
) -> None:
    with start(serve(organisation), stdout_too=True) as tap:
        assert tap.end() == 0

    assert ANSI.encode() not in tap.raw
    lines = tap.raw.decode().replace("\r\n", "\n").split("\n")
    messages = [line for line in lines if line.startswith("{")]
    run = TapRun.of(0, "\n".join(messages) + "\n", "")
    assert run.by_id("Deals") == organisation.truth("Deals")
