"""The suite's one fake clock: time passes when something waits, or when a test says so."""

from __future__ import annotations

import threading


class FakeClock(threading.Event):
    """A clock, and the stop event that the tap waits on; each wait moves the clock on.

    Args:
        now: The time to begin with, in seconds.
        stop_after: Number of the wait that ends with the event set, if one does.
    """

    def __init__(self, now: float = 0.0, *, stop_after: int | None = None) -> None:
        super().__init__()
        self.now = now
        self.stop_after = stop_after
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """Return the time, as `time.monotonic` does."""
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass, and return whether the event is set.

        Args:
            timeout: Seconds. Without it, a wait would never end.
        """
        assert timeout is not None, "a wait without a timeout"
        self.waits.append(timeout)
        self.now += timeout
        if len(self.waits) == self.stop_after:
            self.set()
        return self.is_set()
