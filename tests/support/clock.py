"""The suite's fake clock: time passes only in a wait, or when a test sets it."""

from __future__ import annotations

import threading


class FakeClock(threading.Event):
    """A clock and the stop event that the tap waits on; each wait advances the clock.

    Args:
        now: The time at first, in seconds.
        stop_after: Number of the wait that sets the event; None for no wait.
    """

    def __init__(self, now: float = 0.0, *, stop_after: int | None = None) -> None:
        super().__init__()
        self.now = now
        self.stop_after = stop_after
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """Return the time in seconds, like `time.monotonic`."""
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        """Advance the clock, and return whether the event is set.

        Args:
            timeout: In seconds; required, because a wait without it would never end.
        """
        assert timeout is not None, "a wait without a timeout"
        self.waits.append(timeout)
        self.now += timeout
        if len(self.waits) == self.stop_after:
            self.set()
        return self.is_set()
