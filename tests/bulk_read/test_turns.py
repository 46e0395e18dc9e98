"""Turns: which page goes out next, and what waits for whom."""

from __future__ import annotations

import io
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from tap_zoho_bulk.bulk_read.archive import Archive
from tap_zoho_bulk.bulk_read.chain import ChainPage
from tap_zoho_bulk.bulk_read.feeds import Feed
from tap_zoho_bulk.bulk_read.ledger import JobLedger
from tap_zoho_bulk.bulk_read.page import JobRef, JobResult, Page
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.progress import Progress
from tap_zoho_bulk.bulk_read.spool import Spool
from tap_zoho_bulk.bulk_read.turns import ChainPool
from tap_zoho_bulk.exceptions import StoppedError
from tap_zoho_bulk.reporting.spending import Spending
from tests.support.structured_log import events_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zoho_bulk.bulk_read.chain import Chain
    from tap_zoho_bulk.bulk_read.plan import ReadPlan

PAGE_BYTES = 16 << 20  # what a small page counts as


class Pages:
    """A chain of some pages, which are there at once.

    Args:
        module: Its name.
        count: Its pages.
        size: Bytes of each.
    """

    def __init__(self, module: str, count: int, size: int = 0) -> None:
        self.ledger = JobLedger()
        self.spending = Spending(module)
        self.given = 0
        self._module = module
        self._count = count
        self._size = size

    def reserve(self, start: Position) -> None:
        """Reserve nothing: no run has a limit here."""

    def close(self) -> None:
        """End nothing: its pages are there."""

    def release(self) -> None:
        """Release nothing."""

    def follow(
        self, start: Position, *, before_download: Callable[[JobRef], object]
    ) -> Iterator[ChainPage]:
        """Yield the pages."""
        for number in range(start.page, self._count + 1):
            job = JobRef(self._module, number, str(number))
            before_download(job)
            archive = Archive(str(job), io.BytesIO(), self._size)
            result = JobResult(0, "/", more_records=number < self._count, next_page_token=None)
            following = Position(number + 1) if number < self._count else None
            self.given += 1
            yield ChainPage(Page(job, result, archive), Position(number), following)


class Pool:
    """A pool of such chains, and the test's way of waiting for them."""

    def __init__(self, *chains: tuple[str, Pages], max_bytes: int, threads: int = 10) -> None:
        self.stop = threading.Event()
        self.spool = Spool(max_bytes, self.stop)
        self.feeds: dict[str, Feed] = {}
        openers = {name: partial(self._open, name, pages) for name, pages in chains}
        self.pool = ChainPool(lambda: openers, threads, self.spool)
        self.pool.start()

    def _open(self, name: str, pages: Pages) -> Feed:
        plan = cast("ReadPlan", None)
        state: dict[str, Any] = {}
        self.feeds[name] = Feed(
            plan,
            cast("Chain", pages),
            Progress(name),
            state=state,
            spool=self.spool,
            started=lambda: None,
        )
        return self.feeds[name]

    def wait_until(self, is_true: Callable[[], bool]) -> None:
        """Wait until the worker threads have come so far."""
        deadline = time.monotonic() + 30
        with self.spool.changed:
            while not is_true():
                assert time.monotonic() < deadline
                self.spool.changed.wait(0.01)

    def turn(self) -> str | None:
        """Accept what is ready of one stream."""
        name = self.pool.next_turn(self.feeds)
        if name is not None:
            self.feeds[name].take()
        return name

    @staticmethod
    def threads_end() -> bool:
        """Return whether no chain is followed any longer."""
        return not any(each.name.startswith("bulk-read-") for each in threading.enumerate())

    def turns(self, *names: str) -> list[str]:
        """Accept everything of these streams, turn by turn."""
        left, taken = set(names), []
        while left:
            name = self.pool.next_turn(sorted(left))
            if name is not None:
                taken.append(name)
                if self.feeds[name].take() is None:
                    left.remove(name)
        return taken


@pytest.fixture
def made() -> Iterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def make(*chains: tuple[str, Pages], **options: Any) -> Pool:
        pools.append(Pool(*chains, **options))
        return pools[-1]

    yield make
    for each in pools:
        each.stop.set()


def test_the_page_that_has_been_ready_the_longest_goes_first(made: Callable[..., Pool]) -> None:
    pool = made(("B", Pages("B", 3)), ("A", Pages("A", 2)), max_bytes=1 << 40, threads=1)

    assert pool.turns("A", "B") == ["B"] * 4 + ["A"] * 3


def test_a_chain_that_waits_for_room_has_every_second_turn(made: Callable[..., Pool]) -> None:
    """So it reads on soon, and no other stream starves."""
    early, late = Pages("Early", 3), Pages("Late", 3)
    pool = made(("Early", early), ("Late", late), max_bytes=4 * PAGE_BYTES, threads=1)
    feed = pool.feeds["Late"]

    pool.wait_until(lambda: feed.worker.waits_for_room)
    first = pool.turn()
    pool.wait_until(lambda: feed.worker.waits_for_room and late.given == 2)
    second = pool.turn()

    assert [first, second] == ["Late", "Early"]
    assert sorted(pool.turns("Early", "Late")) == ["Early"] * 3 + ["Late"] * 3


@pytest.mark.parametrize(
    ("size", "on_disk"), [(0, 3), (PAGE_BYTES, 3), (2 * PAGE_BYTES, 2), (9 * PAGE_BYTES, 1)]
)
def test_pages_take_as_much_room_as_there_is(
    made: Callable[..., Pool], size: int, on_disk: int
) -> None:
    """A small page counts, too, since it is an open file; and a chain may always have one."""
    pages = Pages("A", 9, size)
    pool = made(("A", pages), max_bytes=3 * PAGE_BYTES)

    pool.wait_until(lambda: pool.feeds["A"].worker.waits_for_room)

    assert pages.given == on_disk
    assert pool.turns("A") == ["A"] * 10


def test_a_wait_for_room_is_told_with_its_page(
    made: Callable[..., Pool], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        pool = made(("A", Pages("A", 3)), max_bytes=PAGE_BYTES)
        pool.wait_until(lambda: pool.feeds["A"].worker.waits_for_room)
        pool.turns("A")

    waits = events_of(caplog.records, "space_waited_for")
    assert waits[0].items() >= {"stream": "A", "page": 2, "job_id": "2"}.items()
    assert {each["page"] for each in waits} <= {2, 3}  # the first page has always room


def test_no_further_chain_starts_while_there_is_no_room(made: Callable[..., Pool]) -> None:
    chains = [(str(number), Pages(str(number), 1)) for number in range(9)]
    pool = made(*chains, max_bytes=3 * PAGE_BYTES, threads=2)

    pool.wait_until(lambda: not pool.spool.has_room())
    given = sum(pages.given for _, pages in chains)

    assert 3 <= given <= 4  # one more for the other thread
    assert len(pool.turns(*dict(chains))) == 2 * 9


def test_a_closed_feed_leaves_its_room_to_others(made: Callable[..., Pool]) -> None:
    pages = Pages("A", 9)
    pool = made(("A", pages), max_bytes=3 * PAGE_BYTES)
    pool.wait_until(lambda: pool.feeds["A"].worker.waits_for_room)

    pool.pool.close_feed("A")

    pool.wait_until(pool.threads_end)
    assert pool.spool.has_room()
    assert pages.given == 3


def test_a_wait_for_a_page_ends_with_the_run(made: Callable[..., Pool]) -> None:
    pool = made(("A", Pages("A", 9)), max_bytes=0)
    pool.stop.set()

    with pytest.raises(StoppedError):
        pool.turns("A")
