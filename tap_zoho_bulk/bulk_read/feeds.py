"""The feeds: chains of several streams in parallel, each feeding pages to the main thread.

Worker threads create jobs, poll them and download; pages wait on disk until the main thread emits
them, whichever is ready, one in a turn. Only the spool makes a chain wait for the main thread.

Invariant: at most `max_concurrent_jobs` threads, and one more while a page is read again. A run
that resumes from a feed's progress loses nothing that was not emitted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.chain import MAX_JOBS_PER_PAGE, ChainPage
from tap_zoho_bulk.exceptions import CreditLimitReachedError, PageDamagedError, StoppedError
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, MutableMapping

    from tap_zoho_bulk.bulk_read.chain import Chain
    from tap_zoho_bulk.bulk_read.plan import ReadPlan
    from tap_zoho_bulk.bulk_read.position import Position
    from tap_zoho_bulk.bulk_read.progress import Progress
    from tap_zoho_bulk.bulk_read.spool import Spool

    FeedOpeners = Mapping[str, Callable[[], "Feed"]]

PROGRESS = "bulk_read"
"""Key of a stream's state under which its progress is kept until its chain is complete."""

_TICK_SECONDS = 0.5

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

    def _wait_for_room(self) -> None:
        """Wait until the next page may be downloaded; not if the chain has none on disk.

        Raises:
            StoppedError: When the chain, or the run, is to end.
        """
        with self._spool.changed:
            while self._kept and not (self._is_closed or self._spool.has_room()):
                self.waits_for_room = True
                self._spool.wait()
            self.waits_for_room = False
            if self._is_closed:
                raise StoppedError


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
        self.pages = 0
        """Pages that were emitted completely in this run."""
        self.worker = _ChainWorker(chain, progress.position, spool)

    def reserve(self) -> bool:
        """Reserve the API credits of the chain's first job.

        Returns:
            Whether the limit allows it; if not, the error is what comes next.
        """
        try:
            self._chain.reserve(self._progress.position)
        except (CreditLimitReachedError, StoppedError) as error:
            self.worker.end(error)
            return False
        return True

    def run(self) -> None:
        """Follow the chain on the calling thread."""
        self._started()
        self.worker.run()
        self._chain.release()

    def close(self) -> None:
        """Stop taking pages: the chain's thread becomes free. The progress stays valid."""
        self.worker.close()

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
        self.pages += 1
        self._progress = self._progress.after_page(page.following, page.page.result.count)
        if page.following is not None:
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
        # What was read ahead, and is yet to be, may come from the damaged page's job.
        self.worker.close()
        self._chain = self._chain.for_retry()
        self.worker = _ChainWorker(self._chain, position, self._spool)
        # Not on the pool's threads: all of them may be waiting for other jobs.
        _start_thread(self.worker.run, self._chain.query.module)


class ChainPool:
    """Runs the chains of all streams on worker threads.

    Args:
        openers: Returns what opens each stream's feed, by name, in the order in which they start.
        max_concurrent_jobs: Chains that run at once; each has one job at Zoho at a time.
        spool: Counts the disk space of pages.
    """

    def __init__(
        self, openers: Callable[[], FeedOpeners], max_concurrent_jobs: int, spool: Spool
    ) -> None:
        self._openers = openers
        self._max_concurrent_jobs = max_concurrent_jobs
        self._spool = spool
        self._feeds: dict[str, Feed] = {}
        self._failed: dict[str, Exception] = {}
        self._waiting: deque[Feed] = deque()
        self._turns = 0
        self._order = threading.Lock()
        self._has_started = False

    def start(self) -> None:
        """Open the feeds of all streams, and start their chains, once."""
        if self._has_started:
            return
        self._has_started = True
        for name, open_feed in self._openers().items():
            try:
                self._feeds[name] = open_feed()
            except Exception as error:  # noqa: BLE001, PERF203 - raised when its turn comes
                self._failed[name] = error
        self._waiting.extend(self._feeds.values())
        for number in range(min(self._max_concurrent_jobs, len(self._feeds))):
            _start_thread(self._work, f"bulk-read-{number + 1}")

    def feed(self, stream: str) -> Feed:
        """Return a stream's feed.

        Args:
            stream: Name of the stream.

        Raises:
            Exception: What kept the stream's feed from being opened.
        """
        if stream in self._failed:
            raise self._failed[stream]
        return self._feeds[stream]

    def next_turn(self, streams: Collection[str], *, wait: bool = True) -> str | None:
        """Return the stream whose turn it is: one with a page, its end or an error to take.

        It is the one that has been ready for the longest time. In every second turn, one whose
        chain waits for room on disk comes before it, since its chain then continues.

        Args:
            streams: Names of the streams to choose from.
            wait: Whether to wait, for up to half a second, until one is ready.

        Returns:
            The stream's name; None if none is ready.

        Raises:
            StoppedError: When the run is shutting down.
        """
        failed = next((name for name in streams if name in self._failed), None)
        if failed is not None:
            return failed
        deadline = time.monotonic() + (_TICK_SECONDS if wait else 0.0)
        with self._spool.changed:
            while not (ready := self._ready(streams)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._spool.wait(left)
            self._turns += 1
            held = [name for name in ready if self._feeds[name].worker.waits_for_room]
            return min(held if held and self._turns % 2 else ready, key=ready.__getitem__)

    def _ready(self, streams: Collection[str]) -> dict[str, float]:
        """Return the streams that have something to take, and since when."""
        since = {name: self._feeds[name].worker.ready_since for name in streams}
        return {name: at for name, at in since.items() if at is not None}

    def drop(self, stream: str) -> None:
        """Drop a stream's feed: it is complete, or cannot be resumed.

        Args:
            stream: Name of the stream.
        """
        feed = self._feeds.pop(stream, None)
        if feed is not None:
            feed.close()

    def close_feed(self, stream: str) -> None:
        """Stop reading a stream's pages. Its progress stays valid.

        Args:
            stream: Name of the stream.
        """
        if stream in self._feeds:
            self._feeds[stream].close()

    def record(self) -> None:
        """Record the progress of every running chain in its stream's state."""
        for feed in self._feeds.values():
            feed.record()

    def close(self) -> None:
        """Free the disk space of pages that were not taken. The run must be shutting down."""
        for feed in self._feeds.values():
            feed.close()

    def _work(self) -> None:
        while (feed := self._next_to_start()) is not None:
            feed.run()

    def _next_to_start(self) -> Feed | None:
        """Return the feed whose chain is to start next; None when there is no other.

        It waits until there is room for its pages, and API credits for its first job.
        """
        with self._order:  # So that chains reserve API credits in the order in which they start.
            while (feed := self._next_waiting()) is not None:
                if feed.reserve():
                    return feed
        return None

    def _next_waiting(self) -> Feed | None:
        with suppress(StoppedError), self._spool.changed:
            while self._waiting:
                if self._spool.has_room():
                    return self._waiting.popleft()
                self._spool.wait()
        return None


def _start_thread(run: Callable[[], None], name: str) -> None:
    # A daemon, so that a thread that waits does not keep the process from ending.
    threading.Thread(target=run, name=name, daemon=True).start()
