"""The summary: the records, cost and outcome of each stream, logged at the end of a run."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.reporting.events import event, steps
from tap_zoho_bulk.reporting.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDIT_LIMIT = "credit limit"
"""Outcome of a stream that `api_credit_limit` ended early."""

logger = logging.getLogger("tap-zoho-bulk.summary")


@dataclass
class StreamSummary:
    """The records, cost and outcome of one stream, or of the run.

    Args:
        spending: API credits, jobs and bytes.
        records: Records emitted.
        invalid_values: Values replaced with null because they did not parse.
        gap: Zoho's count of the records minus the number exported; None if they were not counted.
        began: When the stream began, on the monotonic clock; None if it has not.
        ended: When the stream ended; None if it has not.
        is_read: Whether all pages of its chain were emitted, so that its bookmark has moved.
        outcome: How the stream ended, in a word or two.
    """

    spending: Spending = field(default_factory=Spending)
    records: int = 0
    invalid_values: int = 0
    gap: int | None = None
    began: float | None = None
    ended: float | None = None
    is_read: bool = False
    outcome: str = "ok"

    @property
    def seconds(self) -> float:
        """How long the stream has taken."""
        if self.began is None:
            return 0.0
        return (self.ended or time.monotonic()) - self.began

    @property
    def note(self) -> str:
        """Details of the outcome; "" if there are none."""
        notes = []
        if self.invalid_values:
            notes.append(f"{self.invalid_values} invalid values replaced with null")
        if self.gap is not None:
            by = f"{abs(self.gap):,} {'more' if self.gap > 0 else 'fewer'}"
            notes.append(f"Zoho counts {by if self.gap else 'the same'}")
        return ", ".join(notes)

    def figures(self) -> dict[str, Any]:
        """Return the numbers by their names in events."""
        spent = self.spending
        return {
            "records": self.records,
            "jobs": spent.jobs,
            "bytes": spent.bytes,
            "credits": spent.credits,
            "seconds": round(self.seconds, 3),
        }


class Summary:
    """The summaries of all streams of a run."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._streams: dict[str, StreamSummary] = {}
        self.failures: dict[str, Exception] = {}

    def __getitem__(self, stream: str) -> StreamSummary:
        return self._streams.setdefault(stream, StreamSummary(Spending(stream)))

    def begin(self, stream: str) -> None:
        """Record that a stream began."""
        if self[stream].began is None:
            self[stream].began = time.monotonic()
            steps.debug("%s: started.", stream, extra=event("stream_began", stream))

    def end(self, stream: str) -> None:
        """Record that a stream ended."""
        self[stream].ended = time.monotonic()

    def log_stream(self, stream: str) -> None:
        """Log the summary of a stream, if it began."""
        summary = self[stream]
        if summary.began is not None:
            logger.info(
                "%s: %s, %s records in %.1f s.",
                stream,
                summary.outcome,
                f"{summary.records:,}",
                summary.seconds,
                extra=event(
                    "stream_ended",
                    stream,
                    outcome=summary.outcome,
                    note=summary.note,
                    gap=summary.gap,
                    invalid_values=summary.invalid_values,
                    **summary.figures(),
                ),
            )

    def log_run(self, outcome: str) -> None:
        """Log the summary of the run, with a table of the streams that began.

        Args:
            outcome: How the run ended, in a word.
        """
        for line in self.lines():
            logger.info(line, extra=event("summary_line"))
        total, incomplete = self.total(), self.incomplete
        logger.log(
            logging.WARNING if incomplete else logging.INFO,
            "Run ended: %s, %.1f s.%s",
            outcome,
            total.seconds,
            f" Not read to the end, because of `api_credit_limit`: {', '.join(incomplete)}. The "
            "next run begins with them."
            if incomplete
            else "",
            extra=event("run_ended", outcome=outcome, incomplete=incomplete, **total.figures()),
        )

    @property
    def incomplete(self) -> list[str]:
        """Names of the streams that `api_credit_limit` ended early."""
        return [name for name, stream in self._streams.items() if stream.outcome == CREDIT_LIMIT]

    def total(self) -> StreamSummary:
        """Return the sums of all streams; the seconds are those of the run."""
        total = StreamSummary(began=self._began, outcome="")
        for stream in self._streams.values():
            spent = stream.spending
            total.records += stream.records
            total.spending.add(credits=spent.credits, jobs=spent.jobs, bytes=spent.bytes)
        return total

    def failed(self, stream: str, error: Exception) -> None:
        """Record that a stream failed."""
        self.failures[stream] = error
        self[stream].outcome = "FAILED"

    def lines(self) -> Iterator[str]:
        """Yield the lines of a table of the streams that began."""
        row = "{:<32} {:>12} {:>6} {:>14} {:>9} {:>8}  {}"
        yield row.format("stream", "records", "jobs", "bytes", "seconds", "credits", "outcome")
        for name, stream in self._streams.items():
            if stream.began is None:
                continue
            outcome = ", ".join(filter(None, (stream.outcome, stream.note)))
            spent = stream.spending
            yield row.format(
                name,
                f"{stream.records:,}",
                spent.jobs,
                f"{spent.bytes:,}",
                f"{stream.seconds:.1f}",
                spent.credits,
                outcome,
            )
        total = self.total()
        spent = total.spending
        yield row.format(
            "all", f"{total.records:,}", spent.jobs, f"{spent.bytes:,}", "", spent.credits, ""
        ).rstrip()
