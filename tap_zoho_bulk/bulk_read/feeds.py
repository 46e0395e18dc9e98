"""The feeds: each is one stream's chain, which feeds pages to the main thread.

A worker thread creates jobs, polls them and downloads; pages wait on disk until the main thread
emits them. Only the spool makes a chain wait for the main thread.

Invariant: a run that resumes from a feed's progress loses nothing that was not emitted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.chain import MAX_JOBS_PER_PAGE, ChainPage
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.exceptions import PageDamagedError, StoppedError
from tap_zoho_bulk.reporting.events import event
from tap_zoho_bulk.reporting.page_progress import log_wait_for_space

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from tap_zoho_bulk.bulk_read.chain import Chain
    from tap_zoho_bulk.bulk_read.page import JobRef
    from tap_zoho_bulk.bulk_read.plan import ReadPlan
    from tap_zoho_bulk.bulk_read.progress import Progress
    from tap_zoho_bulk.bulk_read.spool import Spool

PROGRESS = "bulk_read"
"""Key of a stream's state under which its progress is kept until its chain is complete."""

logger = logging.getLogger("tap-zoho-bulk.feeds")


class _ChainWorker:
    """Follows a chain on a worker thread, and keeps its pages until they are taken.

    The spool's condition guards all that threads share.
    """

    def __init__(self, chain: Chain, start: Position, spool: Spool) -> None:
        self._chain = chain
        self._start = start
        self._spool = spool
        self._is_closed = False
        self._kept: deque[tuple[float, ChainPage | BaseException | None]] = deque()
        self.waits_for_room = False

    @property
    def ready_since(self) -> float | None:
        """When what comes next was ready, on the monotonic clock; None if it is not."""
        return self._kept[0][0] if self._kept else None

    def run(self) -> None:
        """Keep all pages, then None; or the error that ended the chain."""
        end: BaseException | None = None
        try:
            for page in self._chain.follow(self._start, before_download=self._wait_for_room):
                self._keep(page)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            end = error
        self._keep(end)

    def end(self, error: BaseException) -> None:
        """End before the chain is followed.

        Args:
            error: Why.
        """
        self._keep(error)

    def take(self) -> ChainPage | BaseException | None:
        """Return what comes next, which is ready."""
        with self._spool.changed:
            taken = self._kept.popleft()[1]
            if isinstance(taken, ChainPage):
                self._spool.remove(taken.page.archive.size)
        return taken

    def close(self) -> None:
        """Stop the chain, whose thread ends soon, and free the space of its pages."""
        with self._spool.changed:
            self._is_closed = True
            while self._kept:
                taken = self.take()
                if isinstance(taken, ChainPage):
                    taken.page.close()

    def _keep(self, item: ChainPage | BaseException | None) -> None:
        with self._spool.changed:
            self._kept.append((time.monotonic(), item))
            if isinstance(item, ChainPage):
                self._spool.add(item.page.archive.size)
            self._spool.changed.notify_all()
            if self._is_closed:
                self.close()

    def _wait_for_room(self, job: JobRef) -> None:
        """Wait until the next page may be downloaded; not if the chain has none on disk.

        Args:
            job: Whose result is the page.

        Raises:
            StoppedError: When the chain, or the run, is to end.
        """
        if self._has_no_room():
            log_wait_for_space(job.module, job.page, job.job_id, self._chain.spending)
        with self._spool.changed:
            while self._has_no_room():
                self.waits_for_room = True
                self._spool.wait()
            self.waits_for_room = False
            if self._is_closed:
                raise StoppedError

    def _has_no_room(self) -> bool:
        with self._spool.changed:
            return bool(self._kept) and not (self._is_closed or self._spool.has_room())


class Feed:
    """One stream's pages, for the main thread, and its progress through them.

    Args:
        plan: What the stream reads.
        chain: Reads it.
        progress: Where to begin.
        state: The stream's part of STATE, which keeps the progress.
        spool: Counts the disk space of pages.
        started: Called when the chain starts, on the thread that follows it.
    """

    def __init__(  # noqa: PLR0913 - each is another object that it connects
        self,
        plan: ReadPlan,
        chain: Chain,
        progress: Progress,
        *,
        state: MutableMapping[str, Any],
        spool: Spool,
        started: Callable[[], None],
    ) -> None:
        self.plan = plan
        self._chain = chain
        self._progress = progress
        self._state = state
        self._spool = spool
        self._started = started
        self._retries = 0
        self.completed: Progress | None = None
        """The progress after the last page; None before that, and if there was no page."""
        self.worker = _ChainWorker(chain, progress.position, spool)

    def reserve(self) -> bool:
        """Reserve the API credits of the chain's first job.

        Returns:
            Whether the limit allows it; if not, the error is what comes next.
        """
        try:
            self._chain.reserve(self._progress.position)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self.worker.end(error)
            return False
        return True

    def run(self) -> None:
        """Follow the chain on the calling thread."""
        self._started()
        self._follow(self.worker)

    def _follow(self, worker: _ChainWorker) -> None:
        worker.run()
        if worker is self.worker:
            self._chain.release()

    def close(self) -> None:
        """Stop taking pages: the chain's thread becomes free. The progress stays valid."""
        self._chain.close()
        self.worker.close()

    def settle(self) -> None:
        """Wait for the job that Zoho is creating, if there is one. The run must be shutting down.

        So it is part of the progress, and is not paid for again.
        """
        self._chain.settle()

    @property
    def progress(self) -> Progress:
        """All that a later run needs to resume."""
        return self._progress.with_jobs(self._chain.ledger.jobs())

    def record(self) -> None:
        """Record the progress in the stream's state."""
        kept = self.progress.to_state()
        if kept is None:
            self._state.pop(PROGRESS, None)
        else:
            self._state[PROGRESS] = kept

    def take(self) -> ChainPage | None:
        """Return the next page, when it is ready; None after the last one.

        Raises:
            TapZohoBulkError: When the chain cannot continue.
        """
        taken = self.worker.take()
        if isinstance(taken, BaseException):
            raise taken
        if taken is not None:
            self._progress = self._progress.at(taken.position)
        return taken

    def begin(self, version: int | None) -> None:
        """Note that the first page is about to be emitted.

        Args:
            version: Version of the full table, if it has one.
        """
        self._progress = self._progress.begin(version)

    def records_emitted(self, latest: str | None) -> None:
        """Note that some records were emitted.

        Args:
            latest: Greatest value of their replication key, if they have one.
        """
        self._progress = self._progress.after_records(latest)

    def page_emitted(self, page: ChainPage) -> None:
        """Note that a page was emitted completely.

        Args:
            page: From `take`.
        """
        self._retries = 0
        after = self._progress.after_page(page.following, page.page.result.count)
        if page.following is None:
            self.completed = after
        else:
            self._progress = after
            self._chain.ledger.drop_up_to(page.position)

    def retry(self, page: ChainPage, damage: PageDamagedError) -> None:
        """Read a damaged page again: by another download, then by another job.

        Args:
            page: From `take`.
            damage: What is wrong with it.

        Raises:
            PageDamagedError: When neither helped.
        """
        self._retries += 1
        # What was read ahead, and is yet to be, may come from the damaged page's job.
        self.worker.close()
        self._chain = self._chain.for_retry()
        position, ledger = page.position, self._chain.ledger
        if self._retries >= MAX_JOBS_PER_PAGE:
            self._progress = self._progress.at(ledger.drop(position))
            raise PageDamagedError(
                f"{damage} Downloading it again and creating its job again did not help. Try again "
                "later; contact Zoho support if it persists."
            ) from damage
        by = "download" if self._retries == 1 else "job"
        about = event(
            "page_repeated",
            self._chain.spending.stream,
            page=position.page,
            job_id=page.page.job.job_id,
            by=by,
        )
        if by == "download":
            logger.warning("%s Downloading it again.", damage, extra=about)
        else:
            logger.warning("%s Creating its job again.", damage, extra=about)
            position = ledger.drop(position)
        if any(job.started != position.started for job in ledger.jobs()):
            # The chain has restarted meanwhile, so its jobs are of other pages.
            position = Position(rejected=position.rejected)
        self.worker = _ChainWorker(self._chain, position, self._spool)
        # Not on the pool's threads: all of them may be waiting for other jobs.
        start_thread(partial(self._follow, self.worker), self._chain.query.module)


def start_thread(run: Callable[[], None], name: str) -> None:
    """Start a worker thread.

    Args:
        run: What it does.
        name: Its name.
    """
    # A daemon, so that a thread that waits does not keep the process from ending.
    threading.Thread(target=run, name=name, daemon=True).start()
