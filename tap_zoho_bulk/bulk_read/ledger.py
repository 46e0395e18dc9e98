"""The ledger: the jobs that a chain has created and whose pages are still needed.

Invariant: every method may be called from any thread. The worker thread that follows the chain
adds jobs while the main thread reads them for STATE.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_zoho_bulk.bulk_read.position import Position


class JobLedger:
    """The created jobs of one chain, by the page that each was created for.

    Args:
        jobs: Positions of jobs that an earlier run created.
    """

    def __init__(self, jobs: Iterable[Position] = ()) -> None:
        self._lock = threading.Lock()
        self._jobs = {_page(position): position for position in jobs}

    def add(self, position: Position) -> None:
        """Record a created job.

        Args:
            position: Of its page, with its id.
        """
        with self._lock:
            self._jobs[_page(position)] = position

    def find(self, position: Position) -> Position:
        """Return a position with the job that was created for it, or unchanged if there is none.

        Args:
            position: Any of the chain.
        """
        with self._lock:
            return self._jobs.get(_page(position), position)

    def jobs(self) -> tuple[Position, ...]:
        """Return the positions of all recorded jobs."""
        with self._lock:
            return tuple(self._jobs.values())

    def drop(self, position: Position) -> Position:
        """Drop the jobs of a page and of all later ones, so that new ones are created.

        A new job exports what Zoho holds by then. A record may have moved from its page to a later
        one meanwhile, which an older job of that page would lack.

        Args:
            position: Any of the chain.

        Returns:
            The position without a job.
        """
        with self._lock:
            self._jobs = {page: job for page, job in self._jobs.items() if job.page < position.page}
        return replace(position, job_id=None)

    def drop_up_to(self, last: Position) -> None:
        """Drop the jobs of pages that are no longer needed.

        The jobs of a chain that has restarted meanwhile stay: they have another start.

        Args:
            last: Position of the last such page.
        """
        with self._lock:
            self._jobs = {
                key: job
                for key, job in self._jobs.items()
                if job.page > last.page or job.started != last.started
            }

    def clear(self) -> None:
        """Drop all jobs."""
        with self._lock:
            self._jobs = {}


def _page(position: Position) -> tuple[int, str | None]:
    return position.page, position.page_token
