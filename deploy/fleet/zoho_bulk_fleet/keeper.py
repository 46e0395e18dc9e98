"""The thread that keeps a run's lease, and stores its progress.

Invariant: tap and loader never run past the lease. Their guard sees to that; the keeper only tells
it when the lease has been renewed.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoho_bulk_fleet.guard import now
from zoho_bulk_fleet.lease import LeaseLostError
from zoho_bulk_fleet.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoho_bulk_fleet.lease import Lease
    from zoho_bulk_fleet.pipeline import Pipeline

logger = logging.getLogger(__name__)

_RENEWALS = 4
"""How often a lease is renewed in its seconds, so that some renewals may fail."""
_STORE_SECONDS = 2.0


class Keeper(threading.Thread):
    """Keeps a lease while it runs.

    Args:
        lease: The lease, acquired.
        seconds: How long it lasts.
        timeout_seconds: After how long a pipeline is stopped.
    """

    def __init__(self, lease: Lease, seconds: float, timeout_seconds: float) -> None:
        super().__init__(daemon=True)
        self._lease = lease
        self._interval = seconds / _RENEWALS
        self._stop_at = time.monotonic() + timeout_seconds
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._store: Callable[[], None] = lambda: None
        self.timed_out = False

    @property
    def holds(self) -> bool:
        """Whether the lease is still this run's."""
        return now() < self._lease.valid_until

    @contextmanager
    def keeping(self, pipeline: Pipeline, store: Callable[[], None]) -> Iterator[None]:
        """Extend a pipeline's deadline, and store its progress, during the block and not after it.

        Args:
            pipeline: Tap and loader.
            store: Stores what has changed.
        """
        self._pipeline, self._store = pipeline, store
        try:
            yield
        finally:
            with self._lock:
                self._pipeline, self._store = None, lambda: None

    def end(self) -> None:
        """Keep the lease no longer, and release it."""
        self._ending.set()
        self.join()
        try:
            if self.holds:
                self._lease.release()
        except StorageError as error:
            logger.warning("%s. The next run waits until the lease ends.", error)

    def run(self) -> None:
        """Renew and store, until the run ends or the lease is lost."""
        renew_at = time.monotonic() + self._interval
        while not self._ending.wait(min(_STORE_SECONDS, self._interval)):
            with self._lock:
                if self._pipeline and time.monotonic() >= self._stop_at:
                    self.timed_out = True
                    self._pipeline.stop()
                try:
                    if time.monotonic() >= renew_at:
                        renew_at = time.monotonic() + self._interval
                        self._renew()
                    self._store()
                except LeaseLostError as error:
                    logger.error("%s", error)  # noqa: TRY400 - it says all
                    return
                except StorageError as error:
                    logger.warning("%s. Trying again, until the lease ends.", error)

    def _renew(self) -> None:
        try:
            self._lease.renew()
        except LeaseLostError:
            self._lease.valid_until = 0.0
            if self._pipeline:
                self._pipeline.kill()
            raise
        if self._pipeline:
            self._pipeline.extend(self._lease.valid_until)
