"""Spending: the cost of a run, or of one of its streams."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Spending:
    """The cost of a run, or of one of its streams, so far.

    Args:
        stream: Name of the stream; None for the run.
        credits: API credits.
        jobs: Bulk read jobs created.
        bytes: Bytes downloaded as results.
    """

    stream: str | None = None
    credits: int = 0
    jobs: int = 0
    bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, credits: int = 0, jobs: int = 0, bytes: int = 0) -> None:  # noqa: A002
        """Add a cost. Thread-safe."""
        with self._lock:
            self.credits += credits
            self.jobs += jobs
            self.bytes += bytes
