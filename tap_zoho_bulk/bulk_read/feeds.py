"""The runner: chains of several streams side by side, each feeding pages to the main thread.

Worker threads make jobs, wait for them and download; the main thread takes the pages, stream by
stream, in the order in which the chains were started. So the chain whose turn it is always has a
thread, and none can keep another waiting for ever.

Invariant: at most `max_concurrent_jobs` threads, and one more while a page is read again; per chain
a bounded number of pages on disk.
`Feed.resume` is always a position from which nothing is lost that was not reported as emitted.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from tap_zoho_bulk.bulk_read.chain import JOB_TRIES, ChainPage
from tap_zoho_bulk.exceptions import PageDamagedError, StoppedError
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from tap_zoho_bulk.bulk_read.chain import Chain, Position

_TICK_SECONDS = 0.5

logger = logging.getLogger("tap-zoho-bulk.runner")


class _Pump:
    """Takes a chain's pages on a worker thread and hands them over, one ahead of need."""

    def __init__(self, chain: Chain, start: Position, stop: threading.Event) -> None:
        self._chain = chain
        self._start = start
        self._stop = stop
        self._over = threading.Event()
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
        """Take what comes next.

        Args:
            seconds: How long to wait for it.

        Raises:
            queue.Empty: When nothing came.
        """
        return self._handed.get(timeout=seconds)

    def end(self) -> None:
        """Take nothing more: the thread ends when it next has something to hand over."""
        self._over.set()
        while not self._handed.empty():
            page = self._handed.get_nowait()
            if isinstance(page, ChainPage):
                page.page.close()

    def _hand(self, thing: ChainPage | BaseException | None) -> bool:
        while not (self._stop.is_set() or self._over.is_set()):
            try:
                self._handed.put(thing, timeout=_TICK_SECONDS)
            except queue.Full:
                continue
            if self._over.is_set():
                self.end()
            return True
        return False


class Feed:
    """One stream's pages, for the main thread.

    Args:
        chain: Reads them.
        start: Where to begin.
        stop: Set when the run is ending.
    """

    def __init__(self, chain: Chain, start: Position, stop: threading.Event) -> None:
        self.chain = chain
        self._stop = stop
        self._next = start
        self._repeats = 0
        self.pump = _Pump(chain, start, stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more pages: the chain's thread becomes free. `resume` still holds."""
        self.pump.end()

    @property
    def resume(self) -> Position:
        """Where a later run must go on."""
        return self.chain.with_job(self._next)

    def next_page(self, while_waiting: Callable[[], None]) -> ChainPage | None:
        """Wait for the next page.

        Args:
            while_waiting: Called every moment.

        Returns:
            The page; None after the last one.

        Raises:
            StoppedError: When the run is ending.
            TapZohoBulkError: When the chain cannot go on.
        """
        while not self._stop.is_set():
            try:
                taken = self.pump.take(_TICK_SECONDS)
            except queue.Empty:
                while_waiting()
                continue
            if isinstance(taken, BaseException):
                raise taken
            if taken is not None:
                self._next = taken.position
            return taken
        raise StoppedError

    def emitted(self, page: ChainPage) -> None:
        """Report that a page was emitted whole.

        Args:
            page: From `next_page`.
        """
        self._repeats = 0
        page.page.close()
        if page.following is not None:
            self._next = page.following
            # Not all of them: after the page may come the first one again, of a chain begun anew.
            self.chain.forget_up_to(min(page.position.page, page.following.page - 1))

    def repeat(self, page: ChainPage, damage: PageDamagedError) -> None:
        """Read a damaged page again: by another download, then by another job.

        Args:
            page: From `next_page`.
            damage: What is wrong with it.

        Raises:
            PageDamagedError: When both were done already.
        """
        page.page.close()
        self._repeats += 1
        if self._repeats >= JOB_TRIES:
            self._next = self.chain.make_again(page.position)
            raise PageDamagedError(
                f"{damage} So it was after another download and another job, too. Try again "
                "later; report it to Zoho's support if it stays."
            ) from damage
        position = page.position
        by = "download" if self._repeats == 1 else "job"
        about = event(
            "page_repeated",
            self.chain.spending.stream,
            page=page.position.page,
            job_id=page.page.job_id,
            by=by,
        )
        if by == "download":
            logger.warning("%s Downloading it again.", damage, extra=about)
        else:
            logger.warning("%s Making its job again.", damage, extra=about)
            position = self.chain.make_again(position)
        self.pump.end()  # What it read ahead may come from the damaged page's job.
        self.pump = _Pump(self.chain, position, self._stop)
        # Not on the runner's threads: those may all be waiting for later streams' turn.
        _start_thread(self.pump.run, self.chain.query.module)


class BulkReadRunner:
    """Runs chains on worker threads.

    Args:
        max_concurrent_jobs: Chains that run at once; each has one job at Zoho at a time.
        stop: Set when the run is ending.
    """

    def __init__(self, max_concurrent_jobs: int, stop: threading.Event) -> None:
        self._max_concurrent_jobs = max_concurrent_jobs
        self._stop = stop
        self._feeds: list[Feed] = []

    def start(self, chains: Iterable[tuple[Chain, Position]]) -> list[Feed]:
        """Start chains, in the order in which their pages will be taken.

        Args:
            chains: Each with where to begin.

        Returns:
            A feed for each.
        """
        self._feeds = [Feed(chain, start, self._stop) for chain, start in chains]
        waiting: queue.SimpleQueue[_Pump] = queue.SimpleQueue()
        for feed in self._feeds:
            waiting.put(feed.pump)

        def work() -> None:
            while not self._stop.is_set():
                try:
                    pump = waiting.get_nowait()
                except queue.Empty:
                    return
                pump.run()

        for number in range(min(self._max_concurrent_jobs, len(self._feeds))):
            _start_thread(work, f"bulk-read-{number + 1}")
        return self._feeds

    def close(self) -> None:
        """Give back the disk space of pages that nobody took. The run must be ending."""
        for feed in self._feeds:
            feed.close()


def _start_thread(run: Callable[[], None], name: str) -> None:
    # A daemon, so that a thread that waits does not keep the process from ending.
    threading.Thread(target=run, name=name, daemon=True).start()
