"""Events: what happens to a run, its streams, jobs and pages, as fields of log records.

A log line stays a sentence for people; `extra=event(...)` gives the same to programs. The SDK's
structured log carries it, and so does Meltano's. The terminal's live view (`progress.py`) and the
report (`report.py`) know of a run what events say, and nothing else.

Invariant: an event holds names, ids, numbers and states, and no value of any record.

Source: https://sdk.meltano.com/en/latest/implementation/logging.html
"""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime, timezone
from functools import cache
from typing import Any, Literal
from uuid import uuid4

Kind = Literal[
    "run_began",  # version
    "streams_selected",  # names
    "stream_began",
    "job_created",  # page, job_id, credits
    "job_state",  # page, job_id, state, seconds, credits
    "job_completed",  # page, job_id, records, seconds, credits
    "job_failed",  # page, job_id
    "download_began",  # page, job_id, total
    "download_progress",  # page, job_id, bytes, total
    "download_ended",  # page, job_id, bytes, seconds, credits
    "decode_began",  # page, job_id, records
    "decode_progress",  # page, job_id, records
    "decode_ended",  # page, job_id, records, seconds
    "page_repeated",  # page, job_id, by
    "chain_restarted",  # page
    "limit_waited_for",  # limit, seconds
    "request_repeated",  # attempt, seconds
    "stream_ended",  # outcome, note, records, jobs, bytes, credits, seconds
    "summary_line",
    "run_ended",  # outcome, seconds, records, jobs, bytes, credits
]
"""What can happen, and with which fields besides `at`, `run` and, for most, `stream`."""

FIELD = "sync_event"
"""The log record's attribute that holds the event."""

steps = logging.getLogger("tap-zoho-bulk.step")
"""Tells, for debugging and for the live view, what begins and how far it has come."""

_PACE_SECONDS = 0.5


def event(kind: Kind, stream: str | None = None, **fields: Any) -> dict[str, Any]:
    """Give the `extra` of a log call.

    Args:
        kind: What has happened.
        stream: Name of the stream that it happened to, if it is one's.
        fields: What else there is to say; see `Kind`. Times are in seconds.
    """
    told = {"kind": kind, "run": _run(os.getpid()), "at": round(time.time(), 3), **fields}
    if stream is None:
        return {FIELD: told}
    return {FIELD: {**told, "stream": stream}, "stream_name": stream}  # The SDK's own field.


def event_of(record: logging.LogRecord) -> dict[str, Any] | None:
    """Give the event that a log record tells of, if it does.

    Args:
        record: Any.
    """
    found = getattr(record, FIELD, None)
    return found if isinstance(found, dict) else None


class Pace:
    """Lets something be told now and then only, and only where somebody listens to `steps`."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PACE_SECONDS

    def is_due(self) -> bool:
        """Say whether it is time to tell it again."""
        if not steps.isEnabledFor(logging.DEBUG) or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _PACE_SECONDS
        return True


@cache
def _run(process: int) -> str:
    """Name a process's run: unlike any other's, and saying when it began."""
    del process  # It keeps the name of a fork from being its parent's.
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}"
