"""The summary: what each stream brought, cost and came to, for people to read at the end."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.reporting.events import event, steps
from tap_zoho_bulk.reporting.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("tap-zoho-bulk.summary")


@dataclass
class StreamSummary:
    """One stream's part.

    Args:
        spending: API credits, jobs and bytes.
        records: Records emitted.
        invalid_values: Values that became null because they did not parse.
        gap: By how many records Zoho counts more than bulk read gave; None where none were counted.
        began: When its turn came, on the monotonic clock.
        ended: When its turn was over; None while it is not.
        outcome: How it ended, in a word or two.
    """

    spending: Spending = field(default_factory=Spending)
    records: int = 0
    invalid_values: int = 0
    gap: int | None = None
    began: float | None = None
    ended: float | None = None
    outcome: str = "ok"

    @property
    def seconds(self) -> float:
        """How long its turn took."""
        if self.began is None:
            return 0.0
        return (self.ended or time.monotonic()) - self.began

    @property
    def note(self) -> str:
        """What else there is to say of its outcome."""
        told = []
        if self.invalid_values:
            told.append(f"{self.invalid_values} invalid values became null")
        if self.gap is not None:
            by = f"{abs(self.gap):,} {'more' if self.gap > 0 else 'fewer'}"
            told.append(f"Zoho counts {by if self.gap else 'the same'}")
        return ", ".join(told)

    def figures(self) -> dict[str, Any]:
        """Give its numbers by name."""
        spent = self.spending
        return {
            "records": self.records,
            "jobs": spent.jobs,
            "bytes": spent.bytes,
            "credits": spent.credits,
            "seconds": round(self.seconds, 3),
        }


class Summary:
    """What the run brought, stream by stream."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._streams: dict[str, StreamSummary] = {}
        self.failures: dict[str, Exception] = {}

    def __getitem__(self, stream: str) -> StreamSummary:
        return self._streams.setdefault(stream, StreamSummary(Spending(stream)))

    def begin(self, stream: str) -> None:
        """Note that a stream's turn has come."""
        if self[stream].began is None:
            self[stream].began = time.monotonic()
            steps.debug("%s: its turn has come.", stream, extra=event("stream_began", stream))

    def end(self, stream: str) -> None:
        """Note that a stream's turn is over."""
        self[stream].ended = time.monotonic()

    def tell(self, stream: str) -> None:
        """Tell what a stream came to, if its turn came."""
        told = self[stream]
        if told.began is not None:
            logger.info(
                "%s: %s, %s records in %.1f s.",
                stream,
                told.outcome,
                f"{told.records:,}",
                told.seconds,
                extra=event(
                    "stream_ended",
                    stream,
                    outcome=told.outcome,
                    note=told.note,
                    **told.figures(),
                ),
            )

    def tell_all(self, outcome: str) -> None:
        """Tell what the run came to: a table of the streams whose turn came.

        Args:
            outcome: How the run ended, in a word.
        """
        for line in self.lines():
            logger.info(line, extra=event("summary_line"))
        total = self.total()
        logger.info(
            "The run is over: %s, %.1f s.",
            outcome,
            total.seconds,
            extra=event("run_ended", outcome=outcome, **total.figures()),
        )

    def total(self) -> StreamSummary:
        """Add up all streams; the seconds are the run's."""
        total = StreamSummary(began=self._began, outcome="")
        for stream in self._streams.values():
            spent = stream.spending
            total.records += stream.records
            total.spending.add(credits=spent.credits, jobs=spent.jobs, bytes=spent.bytes)
        return total

    def failed(self, stream: str, error: Exception) -> None:
        """Note that a stream failed."""
        self.failures[stream] = error
        self[stream].outcome = "FAILED"

    def lines(self) -> Iterator[str]:
        """Give a table of the streams whose turn came."""
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
