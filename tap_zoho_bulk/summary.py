"""The summary: what each stream brought, cost and came to, for people to read at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_zoho_bulk.client import Spending

if TYPE_CHECKING:
    from collections.abc import Iterator


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


class Summary:
    """What the run brought, stream by stream."""

    def __init__(self) -> None:
        self._streams: dict[str, StreamSummary] = {}
        self.failures: dict[str, Exception] = {}

    def __getitem__(self, stream: str) -> StreamSummary:
        return self._streams.setdefault(stream, StreamSummary())

    def begin(self, stream: str) -> None:
        """Note that a stream's turn has come."""
        self[stream].began = self[stream].began or time.monotonic()

    def end(self, stream: str) -> None:
        """Note that a stream's turn is over."""
        self[stream].ended = time.monotonic()

    def failed(self, stream: str, error: Exception) -> None:
        """Note that a stream failed."""
        self.failures[stream] = error
        self[stream].outcome = "FAILED"

    def lines(self) -> Iterator[str]:
        """Give a table of the streams whose turn came."""
        row = "{:<32} {:>12} {:>6} {:>14} {:>9} {:>8}  {}"
        yield row.format("stream", "records", "jobs", "bytes", "seconds", "credits", "outcome")
        total = StreamSummary(outcome="")
        for name, stream in self._streams.items():
            if stream.began is None:
                continue
            outcome = stream.outcome
            if stream.invalid_values:
                outcome += f", {stream.invalid_values} invalid values became null"
            if stream.gap is not None:
                told = f"{abs(stream.gap):,} {'more' if stream.gap > 0 else 'fewer'}"
                outcome += f", Zoho counts {told if stream.gap else 'the same'}"
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
            total.records += stream.records
            total.spending.add(credits=spent.credits, jobs=spent.jobs, bytes=spent.bytes)
        spent = total.spending
        yield row.format(
            "all", f"{total.records:,}", spent.jobs, f"{spent.bytes:,}", "", spent.credits, ""
        ).rstrip()
