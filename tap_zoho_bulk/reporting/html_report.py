"""The report: a run's structured log as one HTML page that needs nothing else.

`tap-zoho-bulk-report run.log -o report.html`

Invariant: whatever names and messages a log holds, they are text on the page. The page's length has
a limit, however many jobs a run had.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.filesize import decimal

from tap_zoho_bulk.reporting.run_log import NoEventsError, RunLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_zoho_bulk.reporting.timeline import Job, Phase, Step, Stream, Timeline

WIDTH = 1000
"""Units of the timeline from the run's begin to its end."""

_PHASES: dict[Phase, str] = {
    "queued": "The job is made, and Zoho had not begun with it when it was looked at.",
    "running": "Zoho works on the job, or is done with it and the tap has not looked yet.",
    "waiting": (
        "The result is there: it waits for a place within Zoho's downloads a minute, or, when "
        "downloaded, for the stream's turn."
    ),
    "downloading": "The result is on its way.",
    "decoding": "Records are made of the result and written; a slow target shows here.",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TICKS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(number * _MINUTE for number in (1, 2, 5, 10, 15, 30)),
    *(number * _HOUR for number in (1, 2, 4, 12)),
)
_MOST_TICKS = 9
_MOST_LANES = 6
_SLOWEST = 12
_NARROWEST = 1.0
_FAILED = 4.0
_MERGED = 0.2


@dataclass
class Bar:
    """A step on the timeline, in its units.

    Args:
        kind: The phase, or `failed`, or `turn` for a stream without jobs.
        title: What it says when pointed at.
    """

    x: float
    width: float
    lane: int
    kind: str
    title: str


@dataclass
class Row:
    """A stream on the page."""

    stream: Stream
    outcome: str
    spent: dict[Phase, float]
    bars: list[Bar] = field(default_factory=list)
    lanes: int = 1


class Page:
    """What the page shows of a run.

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
        self.spent: dict[Phase, float] = {
            phase: sum(row.spent[phase] for row in self.rows) for phase in _PHASES
        }
        self.slowest = self._slowest()
        self.most_records = max((row.stream.records for row in self.rows), default=0)
        self.most_credits = max((row.stream.credits for row in self.rows), default=0)
        self.version = version("tap-zoho-bulk")

    @property
    def outcome(self) -> str:
        """How the run ended, in a word."""
        return self.timeline.outcome or "not over"

    @property
    def phases(self) -> dict[Phase, str]:
        """What each phase means."""
        return _PHASES

    def ticks(self) -> list[tuple[float, str]]:
        """Give the time axis: places in units, and labels."""
        apart = next((tick for tick in _TICKS if self.seconds / tick <= _MOST_TICKS), None)
        if apart is None:
            apart = _DAY * (1 + self.seconds // (_DAY * _MOST_TICKS))
        count = int(self.seconds / apart) + 1
        return [(self._x(number * apart), duration(number * apart)) for number in range(count)]

    def _total(self) -> dict[str, float]:
        names = ("records", "pages", "jobs", "bytes", "credits")
        summed = {name: sum(getattr(row.stream, name) for row in self.rows) for name in names}
        return {**summed, **self.timeline.figures, "pages": summed["pages"]}

    def _row(self, stream: Stream) -> Row:
        jobs = sorted(stream.all_jobs, key=lambda job: job.steps[0].began if job.steps else 0.0)
        spent: dict[Phase, float] = dict.fromkeys(_PHASES, 0.0)
        for job in jobs:
            for step in job.steps:
                spent[step.phase] += self._ended(step) - step.began
        row = Row(stream, stream.outcome or _unfinished(stream), spent)
        if jobs:
            row.lanes = self._draw(row, jobs)
        elif stream.began is not None:
            ended = self.timeline.latest if stream.ended is None else stream.ended
            title = f"{stream.name}: {duration(ended - stream.began)}"
            row.bars.append(self._bar(stream.began, ended, 0, "turn", title))
        return row

    def _draw(self, row: Row, jobs: list[Job]) -> int:
        """Draw jobs, each on the first lane that is free, and tell how many lanes that takes."""
        free_from: list[float] = []
        failures: list[Bar] = []
        for job in jobs:
            if not job.steps:
                continue
            began, ended = job.steps[0].began, self._ended(job.steps[-1])
            lane = next((lane for lane, free in enumerate(free_from) if free <= began), None)
            if lane is None:
                lane = min(len(free_from), _MOST_LANES - 1)
                free_from += [0.0] * (lane + 1 - len(free_from))
            free_from[lane] = max(free_from[lane], ended)
            for step in job.steps:
                until = self._ended(step)
                title = (
                    f"{row.stream.name}, page {job.page}, job {job.id}: {step.phase} for "
                    f"{duration(until - step.began)}"
                )
                _add(row.bars, self._bar(step.began, until, lane, step.phase, title))
            if job.failed:
                title = f"{row.stream.name}, page {job.page}, job {job.id}: failed"
                x = max(self._x(ended - self.began) - _FAILED, 0.0)
                failures.append(Bar(round(x, 2), _FAILED, lane, "failed", title))
        # On top, where nothing covers them; those that lie in the same place are one.
        row.bars += {(round(bar.x), bar.lane): bar for bar in failures}.values()
        return max(len(free_from), 1)

    def _bar(self, began: float, ended: float, lane: int, kind: str, title: str) -> Bar:
        x = min(self._x(began - self.began), WIDTH - _NARROWEST)
        width = max(self._x(ended - self.began) - x, _NARROWEST)
        return Bar(round(x, 2), round(min(width, WIDTH - x), 2), lane, kind, title)

    def _x(self, seconds: float) -> float:
        return min(max(seconds, 0.0) / self.seconds, 1.0) * WIDTH

    def _ended(self, step: Step) -> float:
        return max(self.timeline.latest if step.ended is None else step.ended, step.began)

    def _slowest(self) -> list[tuple[float, Row, Job, Step]]:
        steps = (
            (self._ended(step) - step.began, row, job, step)
            for row in self.rows
            for job in row.stream.all_jobs
            for step in job.steps
            if step.phase != "waiting"
        )
        return heapq.nlargest(_SLOWEST, steps, key=lambda found: found[0])


def _unfinished(stream: Stream) -> str:
    return "not over" if stream.began is not None or any(stream.all_jobs) else "not begun"


def _add(bars: list[Bar], bar: Bar) -> None:
    """Add a bar, unless it would lie in the same place as the one before, as thin as a hair."""
    last = bars[-1] if bars else None
    if last is not None and last.lane == bar.lane:
        end = bar.x + bar.width
        if bar.width <= _NARROWEST and end - last.x <= last.width + _MERGED:
            return
        if last.kind == bar.kind and bar.x - (last.x + last.width) < _MERGED:
            last.width = round(max(last.width, end - last.x), 2)
            return
    bars.append(bar)


def duration(seconds: float) -> str:
    """Write seconds as people read them, such as `0.4 s`, `12 s` or `1:02:03`.

    Args:
        seconds: How many.
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


def render(page: Page) -> str:
    """Write the page as HTML.

    Args:
        page: What it shows.
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
    """Write a report; the exit code.

    Args:
        arguments: Of the command line.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.log == "-":
            log = RunLog(sys.stdin.buffer, options.run)
        else:
            with Path(options.log).open("rb") as file:
                log = RunLog(file, options.run)
        html = render(Page(log, "stdin" if options.log == "-" else Path(options.log).name))
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
            f"The log holds {len(log.runs)} runs; this is {log.timeline.run}. "
            f"Choose another with --run: {', '.join(others[-10:])}.",
            file=sys.stderr,
        )
    return 0


def _fail(why: str) -> int:
    print(f"tap-zoho-bulk-report: {why}", file=sys.stderr)  # noqa: T201
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tap-zoho-bulk-report",
        description="Write a run's structured log as one HTML page.",
        epilog="README tells how to have a structured log, with Meltano and without.",
    )
    parser.add_argument("log", nargs="?", default="-", help="the log; default: standard input")
    parser.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="the page; default: standard output"
    )
    parser.add_argument("--run", help="name of the run; default: the one that began last")
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version('tap-zoho-bulk')}"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
