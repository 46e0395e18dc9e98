"""Turns: which chains run, and whose page goes out next.

Chains of several streams run in parallel. The main thread emits whichever page is ready, one in a
turn.

Invariant: at most `max_concurrent_jobs` threads, and one more for each page that is read again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from tap_zoho_bulk.bulk_read.feeds import start_thread
from tap_zoho_bulk.exceptions import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from tap_zoho_bulk.bulk_read.feeds import Feed
    from tap_zoho_bulk.bulk_read.spool import Spool

    FeedOpeners = Mapping[str, Callable[[], Feed]]

_TICK_SECONDS = 0.5


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
            start_thread(self._work, f"bulk-read-{number + 1}")

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

    def settle(self) -> None:
        """Wait for the jobs that Zoho is creating. The run must be shutting down."""
        for feed in self._feeds.values():
            feed.settle()

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
