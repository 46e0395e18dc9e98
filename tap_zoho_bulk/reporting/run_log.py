"""The structured log of a run, parsed: its events as a timeline, and its warnings and errors.

It parses the SDK's JSON lines, and Meltano's, which have the same fields one level higher. Other
lines are skipped, so the log may be that of a complete pipeline, or be cut anywhere.

Invariant: memory does not grow with the log: lines, notices, runs and jobs have limits.

Source: https://sdk.meltano.com/en/latest/implementation/logging.html
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from tap_zoho_bulk.exceptions import TapZohoBulkError
from tap_zoho_bulk.reporting.events import FIELD
from tap_zoho_bulk.reporting.printable import printable, printable_values
from tap_zoho_bulk.reporting.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = b"tap-zoho-bulk"
"""Part of the logger's name, and so of each of the tap's lines."""
_LEVELS = frozenset({"warning", "error", "critical"})
_MAX_LINE_BYTES = 1 << 20
_MAX_RUNS = 10_000
_MAX_NOTICES = 200
_MAX_NOTICE_CHARACTERS = 1000
_MAX_FINISHED_JOBS = 20_000  # per stream; Zoho allows 14,400 downloads a day


class NoEventsError(TapZohoBulkError):
    """A log contains no events, or none of the requested run."""


@dataclass(frozen=True)
class Notice:
    """A warning or an error.

    Args:
        level: `warning`, `error` or `critical`.
        at: When, in seconds since 1970; None if unknown.
        text: The message.
    """

    level: str
    at: float | None
    text: str


class RunLog:
    """One run in a structured log.

    Args:
        file: The log, opened in binary mode.
        run: Name of the run; None for the one that began last.

    Raises:
        NoEventsError: If the log contains no such run.
    """

    def __init__(self, file: IO[bytes], run: str | None = None) -> None:
        self.runs: dict[str, None] = {}
        """The names of all runs, in their order."""
        self.notices: deque[Notice] = deque(maxlen=_MAX_NOTICES)
        """The latest notices."""
        self.notices_seen = 0
        self._timeline: Timeline | None = None
        self._process: Any = None  # the run's process id
        for line in _lines(file):
            entry = _entry(line)
            if entry is None:
                continue
            event = entry.get(FIELD)
            if isinstance(event, dict):
                self._add_event(event, entry, run)
            self._add_notice(entry)
        if self._timeline is None:
            raise NoEventsError(self._no_events(run))

    @property
    def timeline(self) -> Timeline:
        """The timeline of the run."""
        assert self._timeline is not None  # noqa: S101 - __init__ raises otherwise
        return self._timeline

    def _add_event(self, event: dict[str, Any], entry: dict[str, Any], run: str | None) -> None:
        name = event.get("run")
        if not isinstance(name, str):
            return
        if name not in self.runs:
            if len(self.runs) == _MAX_RUNS:
                return
            self.runs[name] = None
            if run in {None, name}:
                self._timeline = Timeline(_MAX_FINISHED_JOBS)
                self._timeline.run = name
                self._process = entry.get("pid")
                self.notices.clear()
                self.notices_seen = 0
        if self._timeline is not None and self._timeline.run == name:
            self._timeline.add(event)

    def _add_notice(self, entry: dict[str, Any]) -> None:
        level = str(entry.get("level", entry.get("severity"))).lower()
        text = entry.get("event", entry.get("message"))
        if (
            self._timeline is None
            or entry.get("pid") != self._process
            or level not in _LEVELS
            or not isinstance(text, str)
        ):
            return
        self.notices_seen += 1
        shown = printable(text[:_MAX_NOTICE_CHARACTERS])
        self.notices.append(Notice(level, _instant(entry), shown))

    def _no_events(self, run: str | None) -> str:
        if run is not None and self.runs:
            known = ", ".join(list(self.runs)[-10:])
            return f"contains no run {run!r}. Its latest runs: {known}."
        return (
            "contains no events of a sync. The report needs a structured log, which "
            "docs/watch.md describes."
        )


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines that may be the tap's, without overlong ones."""
    while line := file.readline(_MAX_LINE_BYTES):
        if len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(_MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        elif _MARK in line:
            yield line


def _entry(line: bytes) -> dict[str, Any] | None:
    """Parse the JSON of a line after any prefix; None if there is none."""
    try:
        entry = json.loads(line[line.index(b"{") :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    extra = entry.get("extra")
    entry = {**extra, **entry} if isinstance(extra, dict) else entry
    entry[FIELD] = printable_values(entry.get(FIELD))
    return entry


def _instant(entry: dict[str, Any]) -> float | None:
    seconds, text = entry.get("ts"), entry.get("timestamp")
    if isinstance(seconds, (int, float)) and 0 <= seconds < 1 << 40:
        return float(seconds)
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
