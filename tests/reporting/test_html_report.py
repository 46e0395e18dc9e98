"""`tap-zoho-bulk-report` writes one page about a run's log, with the server's own numbers."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_zoho_crm import Fault, Organisation
from tap_zoho_bulk.reporting.events import Kind
from tap_zoho_bulk.reporting.html_report import ReportPage, render
from tap_zoho_bulk.reporting.printable import printable
from tap_zoho_bulk.reporting.run_log import NoEventsError, RunLog
from tests.support import structured_log
from tests.support.report_page import TAGS, Html, number, page, report, zoho_says
from tests.support.singer import FAST, select

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

MODULES = ["Calls", "Deals", "Tasks"]
SIZES = {"Calls": 30, "Deals": 1_234, "Tasks": 7}


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=31, only=MODULES, sizes=SIZES)


def logged(tap: TapCommand, server: ZohoServer, folder: Path, **options: Any) -> bytes:
    """Sync, and return the structured log."""
    tap.run(server, environment=structured_log.environment(folder), **options)
    return (folder / structured_log.NAME).read_bytes()


def test_the_pages_numbers_are_those_of_the_server(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation, page_size=500)
    names = [*MODULES, "deleted_records"]
    catalog = select(tap.discover(server), dict.fromkeys(names))
    before = server.credits

    log = logged(tap, server, tmp_path, catalog=catalog)
    file = tmp_path / "report.html"
    assert report(tmp_path / structured_log.NAME, "-o", file).returncode == 0

    html = Html(file.read_text(encoding="utf-8"))
    assert html.streams() == page(log).streams()
    rows = html.streams()
    assert [*rows] == [*names, "all"]
    total = 0
    for name in MODULES:
        jobs, size = zoho_says(server, name)
        assert number(rows[name]["records"]) == len(organisation.truth(name))
        assert number(rows[name]["jobs"]) == number(rows[name]["pages"]) == jobs
        assert f"{size:,} bytes" in html.titles
        assert rows[name]["outcome"] == "ok"
        total += size
    assert number(rows["all"]["records"]) == sum(SIZES.values())
    assert number(rows["all"]["jobs"]) == len(server.jobs) == 5
    assert number(rows["all"]["credits"]) == server.credits - before
    assert sum(number(rows[name]["credits"]) for name in names) == server.credits - before
    assert {*html.bars["Deals"]} >= {"running", "decoding"}
    assert html.bars["deleted_records"] == ["turn"]
    assert html.tags <= TAGS


def test_what_went_wrong_is_on_the_page(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation, page_size=500)
    server.faults.add(
        Fault(kind="ragged_row", module="Deals"),
        Fault(kind="job_failure", module="Calls"),
        Fault(kind="job_failure", module="Tasks", times=None),
    )

    html = page(logged(tap, server, tmp_path))

    rows = html.streams()
    for name in MODULES:
        assert number(rows[name]["jobs"]) == zoho_says(server, name)[0]
    assert rows["Tasks"]["outcome"] == "FAILED"
    assert number(rows["Tasks"]["pages"]) == 0
    assert html.bars["Tasks"].count("failed") >= 1
    assert html.bars["Calls"].count("failed") == 1
    assert html.bars["Deals"].count("failed") == 1  # another download did not help
    assert "failed" in html.text.split("to 20")[0]
    assert "Downloading it again" in html.text
    assert "Tasks failed; its bookmark has not moved." in html.text


def test_the_log_holds_neither_secrets_nor_values(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation, page_size=500)

    log = logged(tap, server, tmp_path).decode()

    assert not [secret for secret in server.secrets if secret in log]
    values = {
        json.dumps(value)[1:-1]
        for name in MODULES
        for record in organisation.truth(name).values()
        for value in record.values()
        if isinstance(value, str) and len(value) > 12
    }
    assert len(values) > 100
    assert not [value for value in values if value in log]


def test_the_page_tells_what_was_waited_for(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    """A target that reads nothing blocks a page, while others wait on disk, and one for space."""
    server = serve(organisation, page_size=500)
    running = tap.start(
        server.tap_config(**FAST, max_spool_bytes=1, exclude_modules=["Calls", "Tasks"]),
        environment=structured_log.environment(tmp_path),
    )
    running.taken.clear()
    running.wait_for_log("Deals: page 3 waits for disk space")
    running.taken.set()
    assert running.finish().exit_code == 0

    html = page((tmp_path / structured_log.NAME).read_bytes())

    assert {*html.bars["Deals"]} >= {"waiting-for-disk", "waiting-for-target", "decoding"}
    slowest = "; ".join(row[1] for row in html.tables[1][1:])
    assert "waiting for disk" in slowest
    assert "waiting for target" in slowest
    assert re.search(r"decoding \([\d.:]+( s)? for the target\)", slowest)


def test_a_killed_run_is_drawn_as_far_as_it_came(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    server.faults.add(Fault(kind="job_stuck", module="Deals", times=None))
    running = tap.start(server.tap_config(**FAST, max_concurrent_jobs=1))
    running.wait_for_event("stream_ended", "Calls")
    running.wait_for_event("job_created", "Deals")
    running.kill()
    running.end()
    (file,) = tmp_path.glob("*.log")
    log = file.read_bytes()

    html = page(log + log[: log.index(b"\n") // 2])  # The last line may also be cut.

    rows = html.streams()
    assert "The log ends before the run." in html.text
    assert rows["Calls"]["outcome"] == "ok"
    assert number(rows["Calls"]["records"]) == SIZES["Calls"]
    assert rows["Deals"]["outcome"] == "unfinished"
    assert html.bars["Deals"][0] in {"queued", "running"}
    assert rows["Tasks"]["outcome"] == "not started"


def test_of_several_runs_the_last_is_taken_or_the_one_that_is_named(
    tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    logs, names = [], []
    for count in (3, 5):
        organisation = Organisation.generate(only=["Tasks"], sizes={"Tasks": count})
        logs.append(logged(tap, serve(organisation), tmp_path))
        names.append(next(iter(RunLog(BytesIO(logs[-1])).runs)))
    # As two schedules at the same time write it.
    lines = [log.splitlines(keepends=True) for log in logs]
    log = b"".join(lines[0][:20] + lines[1][:20] + lines[0][20:] + lines[1][20:])

    made = report(log=log)

    assert number(Html(made.stdout.decode()).streams()["Tasks"]["records"]) == 5
    assert names[0] in made.stderr.decode()
    assert number(page(log, "--run", names[0]).streams()["Tasks"]["records"]) == 3
    unknown = report("--run", "another", log=log)
    assert unknown.returncode == 1
    assert f"contains no run 'another'. Its latest runs: {', '.join(names)}." in (
        unknown.stderr.decode()
    )


def test_what_the_target_took_of_a_page_is_drawn_as_a_wait_for_it() -> None:
    about = {"stream": "Deals", "page": 1, "job_id": "1"}

    html = page(
        structured(
            {"kind": "run_began", "at": 0},
            {"kind": "job_created", "at": 0, **about},
            {"kind": "job_completed", "at": 20, **about},
            {"kind": "download_ended", "at": 30, "seconds": 10, "bytes": 9, **about},
            {"kind": "decode_ended", "at": 90, "seconds": 60, "blocked": 45, **about},
            {"kind": "run_ended", "at": 90, "outcome": "ok"},
        )
    )

    assert html.bars["Deals"][-2:] == ["decoding", "waiting-for-target"]
    spent = html.streams()["Deals"]
    assert (spent["decoding"], spent["for target"]) == ("15 s", "45 s")


def test_warnings_of_another_process_are_not_the_runs() -> None:
    own = structured({"kind": "run_began"}, text="of the run", level="warning")
    other = {"level": "warning", "pid": 2, "logger_name": "tap-zoho-bulk", "message": "another's"}

    log = RunLog(BytesIO(own + json.dumps(other).encode() + b"\n"))

    assert [notice.text for notice in log.notices] == ["of the run"]


def test_other_lines_are_passed_over(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    log = logged(tap, serve(organisation), tmp_path)
    noise = [
        b"tap-zoho-bulk \xff\xfe",
        b'{"type":"RECORD","stream":"tap-zoho-bulk","record":{}}',
        b'[{"sync_event": "tap-zoho-bulk"}]',
        b'{"sync_event": ["tap-zoho-bulk"]}',
        b"tap-zoho-bulk {" * 1000,
        b'{"tap-zoho-bulk":' + b"[" * 100_000,
        b'{"tap-zoho-bulk": "' + b"x" * (3 << 20) + b'"}',
        b"",
    ]
    lines = log.splitlines()
    mixed = [line for number, each in enumerate(lines) for line in (noise[number % 8], each)]
    # As containers' logs have it: something before each line.
    told = b"".join(b"2026-11-24T00:00:00Z stderr F " + line + b"\n" for line in mixed)

    assert page(told).streams() == page(log).streams()


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (b"", "contains no events of a sync"),
        (b"2026-11-24 | INFO | tap-zoho-bulk | all 1,239\n", "docs/watch.md"),
    ],
)
def test_a_log_without_events_is_told_in_one_line(log: bytes, said: str) -> None:
    made = report(log=log)

    assert made.returncode == 1
    assert not made.stdout
    assert said in made.stderr.decode()
    assert made.stderr.count(b"\n") == 1


def test_a_log_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    made = report(tmp_path / "none.log")

    assert made.returncode == 1
    assert made.stderr.decode().endswith("none.log: No such file or directory.\n")


def test_hostile_names_are_text_on_the_page() -> None:
    hostile = "\"><script>alert(1)</script>\x1b[2J\ud800<b x='{{ 1 }}' onload=\""
    about = {"stream": hostile, "page": 1, "job_id": hostile}
    log = structured(
        {"kind": "run_began", "version": hostile},
        {"kind": "job_created", **about},
        {"kind": "job_state", **about, "state": hostile},
        {"kind": "job_completed", **about, "records": 1, "at": 5},
        {"kind": "limit_waited_for", "limit": hostile, "seconds": 3},
        {"kind": "stream_ended", "stream": hostile, "outcome": hostile, "note": hostile, "at": 9},
        {"kind": "run_ended", "outcome": hostile},
        text=hostile,
        level="error",
    )

    html = page(log)

    assert html.tags <= TAGS
    assert not [name for name in html.attributes if name.startswith("on") or name == "x="]
    assert printable(hostile) in html.streams()
    assert html.text.count("alert(1)") >= 8


def test_a_run_of_very_many_jobs_makes_a_page_of_some_length() -> None:
    log = structured(
        *(
            {
                "kind": kind,
                "stream": f"S{number % 20}",
                "page": number,
                "job_id": str(number),
                "at": 1000 + number * 7 + after,
                "records": 10,
                "seconds": 1,
            }
            for number in range(10_000)
            for after, kind in enumerate(
                ["job_created", "job_completed", "download_ended", "decode_ended"]
            )
        )
    )

    html = render(ReportPage(RunLog(BytesIO(log)), "log"))

    rows = Html(html).streams()
    assert sum(number(rows[f"S{each}"]["pages"]) for each in range(20)) == 10_000
    assert len(html) < 2_000_000


def structured(*events: Json, text: str = "", level: str = "info") -> bytes:
    """Return a log of these events, in the SDK's form."""
    lines = [
        {
            "level": level,
            "pid": 1,
            "logger_name": "tap-zoho-bulk.job",
            "ts": 1.5,
            "message": text,
            "extra": {"sync_event": {"run": "R", "at": 1, **event}},
        }
        for event in events
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


KINDS = [*Kind.__args__, "other"]  # type: ignore[attr-defined]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
EVENTS = st.fixed_dictionaries(
    {"kind": st.sampled_from(KINDS)},
    optional={
        "stream": st.sampled_from(["A", "B"]) | VALUES,
        "job_id": st.sampled_from(["1", "2"]) | VALUES,
        "at": st.floats(0, 1e10) | VALUES,
        **dict.fromkeys(
            ("page", "records", "bytes", "seconds", "blocked", "credits", "jobs", "total", "by"),
            VALUES,
        ),
        "names": st.lists(VALUES, max_size=3) | VALUES,
        "state": VALUES,
        "outcome": VALUES,
    },
)


@settings(deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=30))
def test_any_events_in_any_order_make_a_page(events: list[Json]) -> None:
    html = render(ReportPage(RunLog(BytesIO(structured(*events))), "log"))

    assert Html(html).tags <= TAGS


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_a_log_without_events(lines: Iterable[bytes]) -> None:
    log = b"\n".join(b"tap-zoho-bulk" + line for line in lines)

    with pytest.raises(NoEventsError):
        RunLog(BytesIO(log))
