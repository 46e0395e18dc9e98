"""Rate limits that Zoho states, kept by all threads of a run together.

Invariant: the server never counts more requests in a span than the limit allows.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.exceptions import StoppedError
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

MIN_LOGGED_WAIT_SECONDS = 1.0

_STOP_CHECK_SECONDS = 0.5

logger = logging.getLogger("tap-zoho-bulk.http")


class RateLimit:
    """At most `count` requests in any span of `seconds`, of all threads.

    A request holds a slot from before it is sent until `seconds` after its response, because only
    the server knows when it counted the request.

    Args:
        count: Requests in a span.
        seconds: The span.
        what: The requests in words, such as "downloads"; for the log.
        clock: Returns the time in seconds; it never goes back.
    """

    def __init__(
        self, count: int, seconds: float, what: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._seconds = seconds
        self._what = what
        self._clock = clock
        self._free_from: queue.SimpleQueue[float] = queue.SimpleQueue()
        for _ in range(count):
            self._free_from.put(-math.inf)

    @contextmanager
    def slot(
        self, stop: threading.Event, purpose: str, about: Mapping[str, Any] | None = None
    ) -> Iterator[None]:
        """Wait for a slot and hold it.

        Args:
            stop: Set when the run shuts down.
            purpose: What the slot is for, in words, such as "list the modules"; for the log.
            about: Fields of the event if there is a wait, such as the page that waits.

        Raises:
            StoppedError: When the run is shutting down.
        """
        about = {**(about or {}), "limit": self._what}
        free_from = self._next_slot(stop, purpose, about)
        try:
            wait = free_from - self._clock()
            if wait >= MIN_LOGGED_WAIT_SECONDS:
                logger.info(
                    "Waiting %.0f s to %s: the limit is %d %s in %.0f s.",
                    wait,
                    purpose,
                    self._count,
                    self._what,
                    self._seconds,
                    extra=event("limit_waited_for", **about, seconds=round(wait, 3)),
                )
            if stop.is_set() or (wait > 0 and stop.wait(wait)):
                raise StoppedError
            free_from = math.inf
            yield
        finally:
            self._free_from.put(min(free_from, self._clock() + self._seconds))

    def _next_slot(self, stop: threading.Event, purpose: str, about: Mapping[str, Any]) -> float:
        """Return when the next slot is free; the caller then holds it."""
        with suppress(queue.Empty):
            return self._free_from.get_nowait()
        logger.info(
            "Waiting to %s: the limit is %d %s in %.0f s, and others wait as well.",
            purpose,
            self._count,
            self._what,
            self._seconds,
            extra=event("limit_waited_for", **about),
        )
        while not stop.is_set():
            with suppress(queue.Empty):
                return self._free_from.get(timeout=_STOP_CHECK_SECONDS)
        raise StoppedError
