"""The feed: what it keeps of a damaged page's chain, and how it counts."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tap_zoho_bulk.bulk_read.chain import Chain
from tap_zoho_bulk.bulk_read.feeds import Feed
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.progress import Progress
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.bulk_read.spool import Spool
from tap_zoho_bulk.exceptions import PageDamagedError
from tests.bulk_read.test_chain import Jobs

if TYPE_CHECKING:
    from tap_zoho_bulk.bulk_read.chain import ChainPage
    from tap_zoho_bulk.bulk_read.job import BulkReadJobs
    from tap_zoho_bulk.bulk_read.page import JobRef, JobResult
    from tap_zoho_bulk.bulk_read.plan import ReadPlan

DAMAGE = PageDamagedError("It is damaged.")
DAYS_AGO = "2026-11-20T12:00:00+00:00"


class HeldJobs(Jobs):
    """Jobs of which those of the second page run until they are let go."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.let_go = threading.Event()
        self.asked = threading.Event()
        self.releases = 0

    def release(self) -> None:
        """Count how often it is done."""
        self.releases += 1

    def wait(self, _: BulkReadQuery, job: JobRef, **options: Any) -> JobResult:
        """Wait for the second page."""
        if job.page == 2:
            self.asked.set()
            self.let_go.wait(60)
        return super().wait(_, job, **options)


def feed_of(jobs: Jobs) -> Feed:
    query = BulkReadQuery("Leads", (), api_version="v6")
    chain = Chain(query, jobs=cast("BulkReadJobs", jobs))
    return Feed(
        cast("ReadPlan", None),
        chain,
        Progress("q"),
        state={},
        spool=Spool(1 << 40, threading.Event()),
        started=lambda: None,
    )


def take(feed: Feed) -> ChainPage:
    deadline = time.monotonic() + 30
    while feed.worker.ready_since is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    page = feed.take()
    assert page is not None
    return page


def test_no_later_job_is_kept_of_a_page_that_is_given_up() -> None:
    """An edit moves records between pages, and older pages would lack them."""
    jobs = HeldJobs(tokens=False)
    feed = feed_of(jobs)
    threads = set(threading.enumerate())
    threading.Thread(target=feed.run).start()
    page = take(feed)
    assert jobs.asked.wait(30)

    for _ in range(2):
        feed.retry(page, DAMAGE)
        page = take(feed)
    with pytest.raises(PageDamagedError, match="did not help"):
        feed.retry(page, DAMAGE)
    jobs.let_go.set()
    for thread in set(threading.enumerate()) - threads:
        thread.join(30)

    assert feed.progress.jobs == ()
    assert 3 not in jobs.created
    assert jobs.releases


def test_a_damaged_page_of_a_chain_that_has_restarted_is_read_from_its_start() -> None:
    """The pages of the new chain begin at another record."""
    feed = feed_of(Jobs(tokens=False))
    threading.Thread(target=feed.run).start()
    page = take(feed)
    old = replace(page, position=Position(2, None, "old", DAYS_AGO))

    feed.retry(old, DAMAGE)

    assert take(feed).position.page == 1


def test_the_last_page_counts_when_it_is_complete() -> None:
    """It is emitted again if the run stops before the bookmark moves."""
    feed = feed_of(Jobs(tokens=False))
    threading.Thread(target=feed.run).start()
    counts = []

    for _ in range(3):
        page = take(feed)
        if page.position.page == 1:
            feed.begin(None)
        feed.page_emitted(page)
        counts.append(feed.progress.count)

    assert counts == [1, 2, 2]
    assert feed.completed is not None
    assert feed.completed.count == 3
