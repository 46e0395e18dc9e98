"""The structured log of a run, read back: its events as a timeline, and its warnings and errors.

It reads the SDK's JSON lines, and Meltano's, in which the same fields stand one level higher. Other
lines are passed over, so the log may be that of a whole pipeline, or be cut anywhere.

Invariant: memory does not grow with the log: lines, notices, runs and jobs that are kept have
limits.

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
from tap_zoho_bulk.reporting.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = b"tap-zoho-bulk"
"""Every line of the tap has it: it is part of the logger's name."""
_LEVELS = frozenset({"warning", "error", "critical"})
_MOST_LINE_BYTES = 1 << 20
_MOST_RUNS = 10_000
_MOST_NOTICES = 200
_MOST_NOTICE_CHARACTERS = 1000
_KEPT_JOBS = 20_000  # of a stream; Zoho's limit on downloads allows 14,400 a day


class NoEventsError(TapZohoBulkError):
    """A log holds no events, or none of the run that is asked for."""


@dataclass(frozen=True)
class Notice:
    """A warning or an error.

    Args:
        level: `warning`, `error` or `critical`.
        at: When, in seconds since 1970; None if unknown.
        text: The line.
    """

    level: str
    at: float | None
    text: str


class RunLog:
    """One run of a log.

    Args:
        file: The log, open for reading bytes.
        run: Which run; default the one that began last.

    Raises:
        NoEventsError: When there is no such run.
    """

    def __init__(self, file: IO[bytes], run: str | None = None) -> None:
        self.runs: dict[str, None] = {}
        """Names of all runs, in their order."""
        self.notices: deque[Notice] = deque(maxlen=_MOST_NOTICES)
        """The latest of them."""
        self.notices_seen = 0
        self._timeline: Timeline | None = None
        self._process: Any = None  # that the run is of
        for line in _lines(file):
            entry = _entry(line)
            if entry is None:
                continue
            event = entry.get(FIELD)
            if isinstance(event, dict):
                self._take_event(event, entry, run)
            self._take_notice(entry)
        if self._timeline is None:
            raise NoEventsError(self._why(run))

    @property
    def timeline(self) -> Timeline:
        """What the run's events come to."""
        assert self._timeline is not None  # noqa: S101 - else there is no object
        return self._timeline

    def _take_event(self, event: dict[str, Any], entry: dict[str, Any], run: str | None) -> None:
        name = event.get("run")
        if not isinstance(name, str):
            return
        if name not in self.runs:
            if len(self.runs) == _MOST_RUNS:
                return
            self.runs[name] = None
            if run in {None, name}:
                self._timeline = Timeline(_KEPT_JOBS)
                self._timeline.run = name
                self._process = entry.get("pid")
                self.notices.clear()
                self.notices_seen = 0
        if self._timeline is not None and self._timeline.run == name:
            self._timeline.take(event)

    def _take_notice(self, entry: dict[str, Any]) -> None:
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
        self.notices.append(Notice(level, _instant(entry), text[:_MOST_NOTICE_CHARACTERS]))

    def _why(self, run: str | None) -> str:
        if run is not None and self.runs:
            known = ", ".join(list(self.runs)[-10:])
            return f"holds no run {run!r}. The latest that it holds: {known}."
        return (
            "holds no events of a sync. Only a structured log does: README says how to have one "
            'under "A look at a sync".'
        )


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Give the lines that may be the tap's; none that is too long to be one."""
    while line := file.readline(_MOST_LINE_BYTES):
        if len(line) == _MOST_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(_MOST_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        elif _MARK in line:
            yield line


def _entry(line: bytes) -> dict[str, Any] | None:
    """Read a line's fields, whatever stands before its JSON; None where it has none."""
    try:
        entry = json.loads(line[line.index(b"{") :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    extra = entry.get("extra")
    return {**extra, **entry} if isinstance(extra, dict) else entry


def _instant(entry: dict[str, Any]) -> float | None:
    seconds, text = entry.get("ts"), entry.get("timestamp")
    if isinstance(seconds, (int, float)) and 0 <= seconds < 1 << 40:
        return float(seconds)
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
