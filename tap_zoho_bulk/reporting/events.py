"""Events: what happens to a run, its streams, jobs and pages, as fields of log records.

The message of a log record is for people; `extra=event(...)` carries the same for programs, in the
structured logs of the SDK and of Meltano. Events are the only source of the live view
(`live_view.py`) and of the report (`html_report.py`).

Invariant: an event holds names, ids, numbers and states, but no value of a record.

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

from tap_zoho_bulk.reporting.printable import printable, printable_values

Kind = Literal[
    "run_began",  # version
    "streams_selected",  # names
    "module_skipped",  # module, reason
    "discovery_ended",  # credits
    "stream_began",
    "job_created",  # page, job_id, credits
    "job_state",  # page, job_id, state, seconds, credits
    "job_completed",  # page, job_id, records, seconds, credits
    "job_failed",  # page, job_id
    "space_waited_for",  # page, job_id
    "download_began",  # page, job_id, total
    "download_progress",  # page, job_id, bytes, total
    "download_ended",  # page, job_id, bytes, seconds, credits
    "decode_began",  # page, job_id, records
    "decode_progress",  # page, job_id, records, blocked
    "decode_ended",  # page, job_id, records, seconds, blocked
    "page_repeated",  # page, job_id, by
    "chain_resumed",  # page
    "chain_not_resumed",  # reason
    "chain_restarted",  # page
    "fields_left_out",  # names, codes
    "catalog_outdated",  # new_modules, gone_modules, new_fields, gone_fields, retyped
    "limit_waited_for",  # limit, seconds if known; page, job_id of a download
    "request_repeated",  # attempt, seconds
    "wait_refused",  # seconds
    "stream_ended",  # outcome, note, gap, invalid_values, records, jobs, bytes, credits, seconds
    "run_stopping",  # signal
    "summary_line",
    "run_ended",  # outcome, incomplete, seconds, records, jobs, bytes, credits
]
"""The kinds of events, with their fields besides `at`, `run` and, for most, `stream`.

What is waited for is logged when the wait begins; `seconds` are then those to come. `blocked` are
the seconds in which the target read too little for the tap to continue.
"""

FIELD = "sync_event"
"""The log record's attribute that holds the event."""

steps = logging.getLogger("tap-zoho-bulk.step")
"""Logs beginnings and progress, for debugging and for the live view."""

_MIN_INTERVAL_SECONDS = 0.5


def event(kind: Kind, stream: str | None = None, **fields: Any) -> dict[str, Any]:
    """Create an event, as the `extra` of a log call.

    Args:
        kind: What happened.
        stream: Name of the stream, if the event concerns one.
        fields: Further fields; see `Kind`. Times are in seconds.
    """
    fields = {
        "kind": kind,
        "run": _run(os.getpid()),
        "at": round(time.time(), 3),
        **printable_values(fields),
    }
    if stream is None:
        return {FIELD: fields}
    stream = printable(stream)
    return {FIELD: {**fields, "stream": stream}, "stream_name": stream}  # The SDK's own field.


def event_of(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return the event of a log record; None if it has none.

    Args:
        record: Any log record.
    """
    found = getattr(record, FIELD, None)
    return found if isinstance(found, dict) else None


class Throttle:
    """Limits progress events to one every half second, and to none if `steps` is disabled."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _MIN_INTERVAL_SECONDS

    def is_due(self) -> bool:
        """Return whether the next event is due."""
        if not steps.isEnabledFor(logging.DEBUG) or time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _MIN_INTERVAL_SECONDS
        return True


@cache
def _run(process: int) -> str:
    """Return a unique name for the run of a process, with the time when it began."""
    del process  # A cache key: a forked process gets its own name.
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}"
