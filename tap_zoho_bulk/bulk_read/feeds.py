"""The feeds: chains of several streams in parallel, each feeding pages to the main thread.

Worker threads create jobs, poll them and download; the main thread takes the pages, stream by
stream, in the order in which the chains were started. So the chain whose turn it is always has a
thread, and no chain can block another for ever.

Invariant: at most `max_concurrent_jobs` threads, and one more while a page is read again; for each
chain a bounded number of pages on disk. A run that resumes from a feed's progress loses nothing
that was not emitted.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.chain import MAX_JOBS_PER_PAGE, ChainPage
from tap_zoho_bulk.exceptions import PageDamagedError, StoppedError
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from typing_extensions import Self

    from tap_zoho_bulk.bulk_read.chain import Chain
    from tap_zoho_bulk.bulk_read.plan import ReadPlan
    from tap_zoho_bulk.bulk_read.position import Position
    from tap_zoho_bulk.bulk_read.progress import Progress

    FeedOpeners = Mapping[str, Callable[[], "Feed"]]

PROGRESS = "bulk_read"
"""Key of a stream's state under which its progress is kept until its chain is complete."""

_TICK_SECONDS = 0.5

logger = logging.getLogger("tap-zoho-bulk.feeds")


class _ChainWorker:
    """Follows a chain on a worker thread, and hands over its pages, one ahead of need."""

    def __init__(self, chain: Chain, start: Position, stop: threading.Event) -> None:
        self._chain = chain
        self._start = start
        self._stop = stop
        self._closed = threading.Event()
        self._handed: queue.Queue[ChainPage | BaseException | None] = queue.Queue(maxsize=1)

    def run(self) -> None:
        """Hand over pages, then None; or the error that ended it."""
        end: BaseException | None = None
        try:
            for page in self._chain.follow(self._start):
                if not self._hand(page):
                    page.page.close()
                    return
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            end = error
        self._hand(end)

    def take(self, seconds: float) -> ChainPage | BaseException | None:
        """Return what comes next.

        Args:
            seconds: How long to wait for it.

        Raises:
            queue.Empty: When nothing came.
        """
        return self._handed.get(timeout=seconds)

    def close(self) -> None:
        """Stop taking pages: the thread ends when it next has something to hand over."""
        self._closed.set()
        while not self._handed.empty():
            page = self._handed.get_nowait()
            if isinstance(page, ChainPage):
                page.page.close()

    def _hand(self, item: ChainPage | BaseException | None) -> bool:
        while not (self._stop.is_set() or self._closed.is_set()):
            try:
                self._handed.put(item, timeout=_TICK_SECONDS)
            except queue.Full:
                continue
            if self._closed.is_set():
                self.close()
            return True
        return False


class Feed:
    """One stream's pages, for the main thread, and its progress through them.

    Args:
        plan: What the stream reads.
        chain: Reads it.
        progress: Where to begin.
        state: The stream's part of STATE, which keeps the progress.
        stop: Set when the run shuts down.
    """

    def __init__(
        self,
        plan: ReadPlan,
        chain: Chain,
        progress: Progress,
        *,
        state: MutableMapping[str, Any],
        stop: threading.Event,
    ) -> None:
        self.plan = plan
        self._chain = chain
        self._progress = progress
        self._state = state
        self._stop = stop
        self._retries = 0
        self.worker = _ChainWorker(chain, progress.position, stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    def next_page(self, while_waiting: Callable[[], None]) -> ChainPage | None:
        """Wait for the next page.

        Args:
            while_waiting: Called every half second.

        Returns:
            The page; None after the last one.

        Raises:
            StoppedError: When the run is shutting down.
            TapZohoBulkError: When the chain cannot continue.
        """
        while not self._stop.is_set():
            try:
                taken = self.worker.take(_TICK_SECONDS)
            except queue.Empty:
                while_waiting()
                continue
            if isinstance(taken, BaseException):
                raise taken
            if taken is not None:
                self._progress = self._progress.at(taken.position)
            return taken
        raise StoppedError

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
            page: From `next_page`.
        """
        self._retries = 0
        page.page.close()
        self._progress = self._progress.after_page(page.following, page.page.result.count)
        if page.following is not None:
            self._chain.ledger.drop_up_to(page.position)

    def retry(self, page: ChainPage, damage: PageDamagedError) -> None:
        """Read a damaged page again: by another download, then by another job.

        Args:
            page: From `next_page`.
            damage: What is wrong with it.

        Raises:
            PageDamagedError: When neither helped.
        """
        page.page.close()
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
        self.worker.close()  # What it read ahead may come from the damaged page's job.
        self.worker = _ChainWorker(self._chain, position, self._stop)
        # Not on the pool's threads: those may all be waiting for later streams' turn.
        _start_thread(self.worker.run, self._chain.query.module)


class ChainPool:
    """Runs the chains of all streams on worker threads.

    Args:
        openers: Returns what opens each stream's feed, by name, in the order in which they sync.
        max_concurrent_jobs: Chains that run at once; each has one job at Zoho at a time.
        stop: Set when the run shuts down.
    """

    def __init__(
        self,
        openers: Callable[[], FeedOpeners],
        max_concurrent_jobs: int,
        stop: threading.Event,
    ) -> None:
        self._max_concurrent_jobs = max_concurrent_jobs
        self._stop = stop
        self._openers = openers
        self._started = False
        self._feeds: dict[str, Feed] = {}
        self._failed: dict[str, Exception] = {}

    def feed(self, stream: str) -> Feed:
        """Return a stream's pages. The first call starts the chains of all streams.

        Args:
            stream: Name of the stream.

        Raises:
            Exception: What kept the stream's feed from being opened.
        """
        if not self._started:
            self._started = True
            self._start(self._openers())
        if stream in self._failed:
            raise self._failed[stream]
        return self._feeds[stream]

    def drop(self, stream: str) -> None:
        """Drop a stream's feed: it is complete, or cannot be resumed.

        Args:
            stream: Name of the stream.
        """
        feed = self._feeds.pop(stream, None)
        if feed is not None:
            feed.close()

    def record(self) -> None:
        """Record the progress of every running chain in its stream's state."""
        for feed in self._feeds.values():
            feed.record()

    def close(self) -> None:
        """Free the disk space of pages that were not taken. The run must be shutting down."""
        for feed in self._feeds.values():
            feed.close()

    def _start(self, openers: FeedOpeners) -> None:
        waiting: queue.SimpleQueue[_ChainWorker] = queue.SimpleQueue()
        for name, open_feed in openers.items():
            try:
                self._feeds[name] = open_feed()
                waiting.put(self._feeds[name].worker)
            except Exception as error:  # noqa: BLE001, PERF203 - raised when its turn comes
                self._failed[name] = error

        def work() -> None:
            while not self._stop.is_set():
                try:
                    worker = waiting.get_nowait()
                except queue.Empty:
                    return
                worker.run()

        for number in range(min(self._max_concurrent_jobs, len(self._feeds))):
            _start_thread(work, f"bulk-read-{number + 1}")


def _start_thread(run: Callable[[], None], name: str) -> None:
    # A daemon, so that a thread that waits does not keep the process from ending.
    threading.Thread(target=run, name=name, daemon=True).start()
