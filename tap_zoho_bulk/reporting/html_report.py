"""The report: a run's structured log as one self-contained HTML page.

`tap-zoho-bulk-report run.log -o report.html`

Invariant: names and messages of a log are escaped. The page's length has a limit, even for runs
with very many jobs.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.filesize import decimal

from tap_zoho_bulk.reporting.phases import shares
from tap_zoho_bulk.reporting.printable import printable
from tap_zoho_bulk.reporting.run_log import NoEventsError, RunLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_zoho_bulk.reporting.phases import JobTimeline, Phase, PhaseName
    from tap_zoho_bulk.reporting.timeline import StreamTimeline, Timeline

WIDTH = 1000
"""Width of the timeline, from the run's beginning to its end, in SVG units."""

_PHASES: dict[PhaseName, str] = {
    "queued": "Zoho had not started the job at the last status check.",
    "running": "Zoho is running the job, or completed it after the last status check.",
    "requesting": (
        "The result is ready. The tap is creating the next page's job, and requesting the result."
    ),
    "waiting for disk": (
        "The result is ready. Pages that the target has not taken yet use up `max_spool_bytes`."
    ),
    "waiting for slot": (
        "The result is ready. Zoho's limit, in `downloads_per_minute`, allows no download yet."
    ),
    "downloading": "The tap is downloading the result.",
    "waiting for target": (
        "The page is on disk. The tap is emitting others, or a stream without jobs; or it is "
        "emitting this one, and the target has yet to read what was written; that is drawn last."
    ),
    "decoding": "The tap is decoding the result and encoding records.",
}
"""The meaning of each phase."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TICKS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(number * _MINUTE for number in (1, 2, 5, 10, 15, 30)),
    *(number * _HOUR for number in (1, 2, 4, 12)),
)
_MAX_TICKS = 9
_MAX_LANES = 6
_MAX_SLOWEST_OF_PHASE = 3
_MIN_BAR_WIDTH = 1.0
_FAILURE_WIDTH = 4.0
_MIN_GAP_WIDTH = 0.2


@dataclass
class Bar:
    """A bar on the timeline. Positions and sizes are in SVG units.

    Args:
        kind: Name of the phase, or `failed`, or `turn` for a stream without jobs.
        title: The tooltip.
    """

    x: float
    width: float
    lane: int
    kind: str
    title: str


@dataclass
class ReportRow:
    """A stream in the report."""

    stream: StreamTimeline
    outcome: str
    spent: dict[PhaseName, float]
    bars: list[Bar] = field(default_factory=list)
    lanes: int = 1


class ReportPage:
    """The content of a report.

    Args:
        log: The run's log.
        source: Name of the log.
    """

    def __init__(self, log: RunLog, source: str) -> None:
        timeline = log.timeline
        self.log = log
        self.source = source
        self.timeline: Timeline = timeline
        self.began = timeline.began or 0.0
        self.seconds = max(timeline.latest - self.began, 0.001)
        self.is_cut = timeline.outcome is None
        self.rows = [self._row(stream) for stream in timeline.streams.values()]
        self.failed = sum(row.outcome == "FAILED" for row in self.rows)
        self.total = self._total()
        self.spent: dict[PhaseName, float] = {
            phase: sum(row.spent[phase] for row in self.rows) for phase in _PHASES
        }
        self.share = shares((phase for _, _, phase in self._phases()), timeline.latest)
        self.rest = max(self.seconds - sum(self.share.values()), 0.0)
        self.slowest = self._slowest()
        self.max_records = max((row.stream.records for row in self.rows), default=0)
        self.max_credits = max((row.stream.credits for row in self.rows), default=0)
        self.version = version("tap-zoho-bulk")

    @property
    def outcome(self) -> str:
        """How the run ended, in a word."""
        return self.timeline.outcome or "unfinished"

    @property
    def phases(self) -> dict[PhaseName, str]:
        """The meaning of each phase, by its name."""
        return _PHASES

    def ticks(self) -> list[tuple[float, str]]:
        """Return the ticks of the time axis: positions in SVG units, and labels."""
        interval = next((tick for tick in _TICKS if self.seconds / tick <= _MAX_TICKS), None)
        if interval is None:
            interval = _DAY * (1 + self.seconds // (_DAY * _MAX_TICKS))
        count = int(self.seconds / interval) + 1
        return [
            (self._x(number * interval), duration(number * interval)) for number in range(count)
        ]

    def _total(self) -> dict[str, float]:
        names = ("records", "pages", "jobs", "bytes", "credits")
        summed = {name: sum(getattr(row.stream, name) for row in self.rows) for name in names}
        return {**summed, **self.timeline.figures, "pages": summed["pages"]}

    def _row(self, stream: StreamTimeline) -> ReportRow:
        jobs = sorted(stream.all_jobs, key=lambda job: job.phases[0].began if job.phases else 0.0)
        spent: dict[PhaseName, float] = dict.fromkeys(_PHASES, 0.0)
        for job in jobs:
            for phase in job.phases:
                blocked = phase.seconds_blocked(self.timeline.latest)
                spent[phase.name] += phase.seconds(self.timeline.latest) - blocked
                spent["waiting for target"] += blocked
        row = ReportRow(stream, stream.outcome or _unfinished(stream), spent)
        if jobs:
            row.lanes = self._draw(row, jobs)
        elif stream.began is not None:
            ended = self.timeline.latest if stream.ended is None else stream.ended
            title = f"{stream.name}: {duration(ended - stream.began)}"
            row.bars.append(self._bar(stream.began, ended, 0, "turn", title))
        return row

    def _draw(self, row: ReportRow, jobs: list[JobTimeline]) -> int:
        """Draw each job on the first free lane, and return the number of lanes used."""
        free_from: list[float] = []
        failures: list[Bar] = []
        for job in jobs:
            if not job.phases:
                continue
            began, ended = job.phases[0].began, job.phases[-1].end(self.timeline.latest)
            lane = next((lane for lane, free in enumerate(free_from) if free <= began), None)
            if lane is None:
                lane = min(len(free_from), _MAX_LANES - 1)
                free_from += [0.0] * (lane + 1 - len(free_from))
            free_from[lane] = max(free_from[lane], ended)
            for phase in job.phases:
                until = phase.end(self.timeline.latest)
                title = (
                    f"{row.stream.name}, page {job.page}, job {job.id}: {self.described(phase)} "
                    f"for {duration(until - phase.began)}"
                )
                # When in the phase the target blocked it is unknown: it is drawn as its end.
                free = until - phase.seconds_blocked(self.timeline.latest)
                pieces = [(phase.name, phase.began, free)]
                if free < until:
                    pieces.append(("waiting for target", free, until))
                for name, start, end in pieces:
                    kind = name.replace(" ", "-")
                    _add(row.bars, self._bar(start, end, lane, kind, title))
            if job.failed:
                title = f"{row.stream.name}, page {job.page}, job {job.id}: failed"
                x = max(self._x(ended - self.began) - _FAILURE_WIDTH, 0.0)
                failures.append(Bar(round(x, 2), _FAILURE_WIDTH, lane, "failed", title))
        # Last, so that no bar covers them; one of several at the same position is enough.
        row.bars += {(round(bar.x), bar.lane): bar for bar in failures}.values()
        return max(len(free_from), 1)

    def _bar(self, began: float, ended: float, lane: int, kind: str, title: str) -> Bar:
        x = min(self._x(began - self.began), WIDTH - _MIN_BAR_WIDTH)
        width = max(self._x(ended - self.began) - x, _MIN_BAR_WIDTH)
        return Bar(round(x, 2), round(min(width, WIDTH - x), 2), lane, kind, title)

    def _x(self, seconds: float) -> float:
        return min(max(seconds, 0.0) / self.seconds, 1.0) * WIDTH

    def described(self, phase: Phase) -> str:
        """Return a phase's name, with the time in it that the target took.

        Args:
            phase: Of any job.
        """
        blocked = phase.seconds_blocked(self.timeline.latest)
        return f"{phase.name} ({duration(blocked)} for the target)" if blocked else phase.name

    def _slowest(self) -> list[tuple[float, ReportRow, JobTimeline, Phase]]:
        """Return the slowest of each phase, so that waits do not hide what was slow itself."""
        found = []
        for name in _PHASES:
            phases = (
                (phase.seconds(self.timeline.latest), row, job, phase)
                for row, job, phase in self._phases()
                if phase.name == name
            )
            found += heapq.nlargest(_MAX_SLOWEST_OF_PHASE, phases, key=itemgetter(0))
        return sorted(found, key=itemgetter(0), reverse=True)

    def _phases(self) -> Iterator[tuple[ReportRow, JobTimeline, Phase]]:
        for row in self.rows:
            for job in row.stream.all_jobs:
                for phase in job.phases:
                    yield row, job, phase


def _unfinished(stream: StreamTimeline) -> str:
    return "unfinished" if stream.began is not None or any(stream.all_jobs) else "not started"


def _add(bars: list[Bar], bar: Bar) -> None:
    """Add a bar, merging it into the previous one if it would be too thin to see."""
    last = bars[-1] if bars else None
    if last is not None and last.lane == bar.lane:
        end = bar.x + bar.width
        if bar.width <= _MIN_BAR_WIDTH and end - last.x <= last.width + _MIN_GAP_WIDTH:
            return
        if last.kind == bar.kind and bar.x - (last.x + last.width) < _MIN_GAP_WIDTH:
            last.width = round(max(last.width, end - last.x), 2)
            return
    bars.append(bar)


def duration(seconds: float) -> str:
    """Format seconds for people, such as `0.4 s`, `12 s` or `1:02:03`.

    Args:
        seconds: The duration.
    """
    if seconds < _MINUTE:
        text = f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"  # noqa: PLR2004
        return f"{text.removesuffix('.0')} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return ""
    try:
        return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return ""


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def render(page: ReportPage) -> str:
    """Return the report as HTML.

    Args:
        page: The content.
    """
    environment = Environment(
        loader=PackageLoader("tap_zoho_bulk.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=duration, size=decimal, moment=_moment, number=lambda value: f"{int(value):,}"
    )
    return environment.get_template("report.html").render(page=page, width=WIDTH)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a report, and return the exit code.

    Args:
        arguments: Command line arguments; None for those of the process.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.log == "-":
            log = RunLog(sys.stdin.buffer, options.run)
        else:
            with Path(options.log).open("rb") as file:
                log = RunLog(file, options.run)
        html = render(ReportPage(log, "stdin" if options.log == "-" else Path(options.log).name))
        data = html.encode("utf-8", "replace")
        if options.output == "-":
            sys.stdout.buffer.write(data)
        else:
            Path(options.output).write_bytes(data)
    except NoEventsError as error:
        return _fail(f"{'The log' if options.log == '-' else options.log} {error}")
    except OSError as error:
        return _fail(f"{error.filename or 'The report'}: {error.strerror}.")
    others = [name for name in log.runs if name != log.timeline.run]
    if others:
        print(  # noqa: T201
            f"The log contains {len(log.runs)} runs; this is the report of {log.timeline.run}. "
            f"Select another with --run: {', '.join(others[-10:])}.",
            file=sys.stderr,
        )
    return 0


def _fail(why: str) -> int:
    print(f"tap-zoho-bulk-report: {printable(why)}", file=sys.stderr)  # noqa: T201
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tap-zoho-bulk-report",
        description="Create a report of a run as one HTML page, from its structured log.",
        epilog="docs/watch.md describes structured logs, with and without Meltano.",
    )
    parser.add_argument(
        "log", nargs="?", default="-", help="the structured log (default: standard input)"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="FILE",
        help="the HTML page (default: standard output)",
    )
    parser.add_argument("--run", help="name of the run (default: the one that began last)")
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version('tap-zoho-bulk')}"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
