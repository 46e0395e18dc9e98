"""The spool: how much disk space pages take until they are emitted.

Invariant: pages take up to `max_spool_bytes`, and beyond it one page for each running chain, so
that none waits for another for ever.
"""

from __future__ import annotations

import threading

from tap_zoho_bulk.exceptions import StoppedError

# A page is an open file, however small it is, and a process may open only so many.
_MIN_PAGE_BYTES = 16 << 20
_STOP_CHECK_SECONDS = 0.5


class Spool:
    """The disk space of all pages of a run.

    Args:
        max_bytes: The space that pages may take.
        stop: Set when the run shuts down.
    """

    def __init__(self, max_bytes: int, stop: threading.Event) -> None:
        self.changed = threading.Condition()
        """Notified when a page arrives or leaves, or a chain ends. It guards the spool, and what
        the feeds share between threads."""
        self._max_bytes = max_bytes
        self._stop = stop
        self._bytes = 0

    def has_room(self) -> bool:
        """Return whether another page may be downloaded."""
        return self._bytes == 0 or self._bytes < self._max_bytes

    def wait(self, seconds: float = _STOP_CHECK_SECONDS) -> None:
        """Wait for a change, while `changed` is held.

        Args:
            seconds: The longest wait; it may be shorter without a change.

        Raises:
            StoppedError: When the run is shutting down.
        """
        self.changed.wait(min(seconds, _STOP_CHECK_SECONDS))
        if self._stop.is_set():
            raise StoppedError

    def add(self, size: int) -> None:
        """Count a page that is on disk.

        Args:
            size: Its bytes.
        """
        self._bytes += max(size, _MIN_PAGE_BYTES)
        self.changed.notify_all()

    def remove(self, size: int) -> None:
        """Count a page no longer.

        Args:
            size: Its bytes.
        """
        self._bytes -= max(size, _MIN_PAGE_BYTES)
        self.changed.notify_all()
