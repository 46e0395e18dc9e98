"""The live view: a table of all active streams and jobs below the log, on a terminal.

It is drawn on stderr, from events alone. It is off wherever it could do harm: without a terminal,
on a terminal that cannot move its cursor, in CI, and if stdout, which receives the records, is also
a terminal.

Invariant: a sync does not depend on the live view. It only listens to events, draws on a thread of
its own, and survives the loss of the terminal.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console, Group
from rich.constrain import Constrain
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from tap_zoho_bulk.reporting.events import event_of, steps
from tap_zoho_bulk.reporting.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from rich.console import ConsoleOptions, RenderResult

    from tap_zoho_bulk.reporting.phases import JobTimeline, Phase, PhaseName
    from tap_zoho_bulk.reporting.timeline import StreamTimeline

    _StreamHandler: TypeAlias = logging.StreamHandler[TextIO]

_SECONDS_PER_FRAME = 0.25
_RESERVED_ROWS = 7  # the view's other lines, and some of the log
_MIN_ROWS = 3
_MIN_BAR_COLUMNS = 100  # Narrower terminals have no room for bars.
_ECHO_COLUMNS = 4
_STYLES: dict[PhaseName, str] = {
    "queued": "yellow",
    "running": "bright_blue",
    "requesting": "bright_black",
    "waiting for disk": "bright_black",
    "waiting for slot": "bright_black",
    "downloading": "magenta",
    "waiting for target": "bright_black",
    "decoding": "green",
}
_BLOCKED_SECONDS = 1.0  # Chunks follow each other faster, unless the target blocks one.

_logger = logging.getLogger("tap-zoho-bulk")


@contextmanager
def live_view() -> Iterator[None]:
    """Show the live view until the end of the block, if the terminal is suitable.

    A table of what came of all streams takes its place, however the block ends. When the run begins
    to stop, the view goes away at once: a further signal may end the process at any time.
    """
    if not _is_wanted():
        yield
        return
    console = Console(stderr=True)
    view = View()
    live = Live(view, console=console, auto_refresh=False, transient=True, redirect_stdout=False)
    log = _terminal_handlers()
    thread = threading.Thread(target=_draw, args=(live, view, log), name="live-view", daemon=True)
    try:
        with _listening(view), _without_table(log):
            thread.start()
            try:
                yield
            finally:
                view.end()
                thread.join()
    finally:
        with suppress(OSError):  # The terminal is gone.
            console.print(view.summary())


def _is_wanted() -> bool:
    """Return whether stderr is a terminal to draw on, and records go elsewhere.

    Rich interprets `TTY_INTERACTIVE` in the same way.
    """
    return (
        sys.stderr.isatty()
        and not sys.stdout.isatty()
        and _logger.isEnabledFor(logging.INFO)
        and os.environ.get("TERM", "dumb").lower() not in {"dumb", "unknown"}
        and os.environ.get("TTY_INTERACTIVE") != "0"
        and not any(os.environ.get(name) for name in ("CI", "NO_COLOR"))
    )


@contextmanager
def _listening(view: View) -> Iterator[None]:
    """Attach the view to all events. It enables `steps` for itself only, if they are not logged."""
    level, propagate = steps.level, steps.propagate
    if not steps.isEnabledFor(logging.DEBUG):
        steps.propagate = False
        steps.setLevel(logging.DEBUG)
        steps.addHandler(view)
    _logger.addHandler(view)
    try:
        yield
    finally:
        _logger.removeHandler(view)
        steps.removeHandler(view)
        steps.setLevel(level)
        steps.propagate = propagate


def _terminal_handlers() -> list[_StreamHandler]:
    """Return the handlers that log to the terminal."""
    return [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]


@contextmanager
def _without_table(log: Sequence[_StreamHandler]) -> Iterator[None]:
    """Leave out the log's own table: the view ends with one that fits the terminal."""
    for handler in log:
        handler.addFilter(_is_not_table)
    try:
        yield
    finally:
        for handler in log:
            handler.removeFilter(_is_not_table)


def _is_not_table(record: logging.LogRecord) -> bool:
    event = event_of(record)
    return event is None or event.get("kind") != "summary_line"


def _draw(live: Live, view: View, log: Sequence[_StreamHandler]) -> None:
    """Draw frames until the view ends. Log lines appear above it."""
    stderr = sys.stderr
    with suppress(OSError):  # The terminal is gone.
        try:
            with _paused(log):
                live.start()
                for handler in log:
                    handler.setStream(sys.stderr)  # `Live` has replaced it.
            while not view.ends_within(_SECONDS_PER_FRAME):
                with _paused(log):
                    live.refresh()
        finally:
            with _paused(log):
                for handler in log:
                    handler.setStream(stderr)
                live.stop()


@contextmanager
def _paused(log: Sequence[_StreamHandler]) -> Iterator[None]:
    """Keep log lines out: between two frames, they could not know how many lines to erase."""
    with ExitStack() as stack:
        for handler in log:
            handler.acquire()
            stack.callback(handler.release)
        yield


class View(logging.Handler):
    """A log handler that draws the events it receives, from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._timeline = Timeline(max_finished_jobs=0)
        self._ends: SimpleQueue[None] = SimpleQueue()
        self._has_ended = False

    @override
    def emit(self, record: logging.LogRecord) -> None:
        event = event_of(record)
        if event is not None:
            self._timeline.add(event)
            if event.get("kind") == "run_stopping":
                self.end()

    def end(self) -> None:
        """Make the view go away."""
        self._ends.put(None)

    def ends_within(self, seconds: float) -> bool:
        """Wait for the view's end, and return whether it has come.

        Args:
            seconds: The time limit.
        """
        with suppress(Empty):
            self._ends.get(timeout=seconds)
            self._has_ended = True
        return self._has_ended

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the current frame; nothing at the end, so that no frame remains."""
        if self._has_ended:
            return
        self.acquire()
        try:
            frame = self._frame(console.size.height, is_wide=options.max_width >= _MIN_BAR_COLUMNS)
        finally:
            self.release()
        # The terminal shows Ctrl-C as `^C` behind the last line, which must not wrap.
        yield Constrain(frame, max(options.max_width - _ECHO_COLUMNS, 1))

    def summary(self) -> Table:
        """Return a table of the records, cost and outcome of each stream."""
        table = _table("stream", "records", "jobs", "bytes", "seconds", "credits")
        table.add_column("outcome", min_width=13)
        table.show_footer = True
        for stream in self._timeline.streams.values():
            if stream.outcome is None and stream.began is None and not stream.jobs:
                continue
            outcome = stream.outcome or "unfinished"
            table.add_row(
                _text(stream.name),
                *_figures(vars(stream)),
                _text(
                    ", ".join(filter(None, (outcome, stream.note))), "red" * (outcome == "FAILED")
                ),
            )
        footers = ("all", *_figures(self._timeline.figures))
        for column, footer in zip(table.columns, footers, strict=False):
            column.footer = footer
        return table

    def _frame(self, height: int, *, is_wide: bool) -> Group:
        timeline, now = self._timeline, time.time()
        streams = list(timeline.streams.values())
        active = [stream for stream in streams if stream.is_active]
        over = sum(stream.outcome is not None for stream in streams)
        rows = [(stream, job) for stream in active for job in stream.open.values() or (None,)]
        room = max(height - _RESERVED_ROWS, _MIN_ROWS)
        table = _table("stream", "page", "state", "time", "records", "bytes", "credits")
        table.columns[2].justify = "left"
        if is_wide:
            table.columns[2].min_width = 36
        before = None
        for stream, job in rows[:room]:
            table.add_row(
                _text(stream.name if stream is not before else ""),
                *_job_cells(stream, job, now, is_wide=is_wide),
                *(_stream_cells(stream) if stream is not before else ()),
            )
            before = stream
        counts = (
            f"{over:,} of {len(streams):,} streams done, {len(active):,} active, "
            f"{len(streams) - over - len(active):,} pending"
        )
        head = _text(
            f"{clock(now - (timeline.began or now))}  {counts if streams else 'starting'}",
            "bold",
        )
        foot = _text(
            f"{sum(map(_records, streams)):,} records, "
            f"{decimal(sum(stream.bytes for stream in streams))}, "
            f"{sum(stream.credits for stream in streams):,} API credits"
            + (f"; {len(rows) - room:,} more active" if len(rows) > room else ""),
            "bright_black",
        )
        return Group("", head, *([table] if rows else []), foot)


def _figures(values: dict[str, float]) -> Iterator[str]:
    yield f"{values.get('records', 0):,.0f}"
    yield f"{values.get('jobs', 0):,.0f}"
    yield decimal(int(values.get("bytes", 0)))
    yield f"{values.get('seconds', 0):,.1f}"
    yield f"{values.get('credits', 0):,.0f}"


def _job_cells(
    stream: StreamTimeline, job: JobTimeline | None, now: float, *, is_wide: bool
) -> tuple[str, Text | Table, str]:
    """Return the cells of a job: its page, its state, and the time in that state, or left in it."""
    if job is not None:
        job.advance(now)
    if job is None or job.phase is None:
        return "", _text("reading"), clock(now - (stream.began or now))
    phase = job.phase.name
    if phase == "decoding" and _is_blocked(job, job.phase, now):
        phase = "waiting for target"
    style = _STYLES[phase]
    state = _text(job.state if phase in {"queued", "running"} else phase, style)
    shown: Text | Table = state
    if job.total:
        share = min(job.done / job.total, 1.0)
        state.append(f" {share:.0%}")
        if is_wide:
            shown = Table.grid(padding=(0, 1))
            shown.add_column(width=len("waiting for target 100%"))
            shown.add_row(
                state, ProgressBar(1.0, share, 12, complete_style=style, finished_style=style)
            )
    time_of_state = clock(now - job.phase.began)
    if job.until is not None:
        time_of_state = f"{clock(job.until - now)} left"
    return str(job.page), shown, time_of_state


def _is_blocked(job: JobTimeline, phase: Phase, now: float) -> bool:
    """Return whether the target has blocked a page's records for most of the time so far."""
    unreported = now - job.progressed
    blocked = phase.blocked + (unreported if unreported > _BLOCKED_SECONDS else 0.0)
    return blocked > (now - phase.began) / 2


def _stream_cells(stream: StreamTimeline) -> tuple[str, str, str]:
    return f"{_records(stream):,}", decimal(stream.bytes), f"{stream.credits:,}"


def _table(*headings: str) -> Table:
    """Create a table. Its first column is a name, cut if there is too little room."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", footer_style="bold")
    table.add_column(headings[0], no_wrap=True, overflow="ellipsis")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _text(text: str, style: str = "") -> Text:
    """Return literal text, which Rich searches for no markup."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _records(stream: StreamTimeline) -> int:
    """Return a stream's records, including those of a page that is being emitted."""
    emitting = (
        job.done
        for job in stream.open.values()
        if job.phase is not None and job.phase.name == "decoding"
    )
    return stream.records + sum(emitting)


def clock(seconds: float) -> str:
    """Format seconds like a clock, such as `1:02:03`.

    Args:
        seconds: The duration.
    """
    minutes, rest = divmod(int(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
