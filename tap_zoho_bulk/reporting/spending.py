"""Spending: what a run, or a part of it, has cost at Zoho."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Spending:
    """What a run, or a part of it, has cost at Zoho.

    Args:
        stream: Name of the stream whose cost it is; None for the whole run's.
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
        """Count something more, from any thread."""
        with self._lock:
            self.credits += credits
            self.jobs += jobs
            self.bytes += bytes
