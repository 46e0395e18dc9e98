"""The chain: where it restarts, and what it then creates again."""

from __future__ import annotations

import io
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from tap_zoho_bulk.bulk_read.archive import Archive
from tap_zoho_bulk.bulk_read.chain import Chain
from tap_zoho_bulk.bulk_read.job import CreatedJob
from tap_zoho_bulk.bulk_read.page import JobResult, Page
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.exceptions import (
    JobFailedError,
    Problem,
    UnreadableStreamError,
    ZohoRefusedError,
)
from tap_zoho_bulk.reporting.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_zoho_bulk.bulk_read.page import JobRef

DAYS_AGO = "2026-11-20T12:00:00+00:00"
NOW = "2026-11-25T12:00:00+00:00"
PAGES = 3


class Jobs:
    """Jobs at a Zoho of three pages, by number or by token.

    Args:
        tokens: Whether pages have tokens.
        days: When the jobs are created, one after another.
        is_refused: Whether Zoho refuses to create a job for a page and its token.
    """

    def __init__(
        self,
        *,
        tokens: bool,
        days: Sequence[str] = (NOW,),
        is_refused: Callable[[int, str | None], bool] = lambda *_: False,
    ) -> None:
        self.spending = Spending()
        self.created: list[int] = []
        self._tokens = tokens
        self._days = cycle(days)
        self._is_refused = is_refused

    def release(self) -> None:
        """Release nothing: these jobs cost none."""

    def create(self, _: BulkReadQuery, page: int, body: dict[str, Any]) -> CreatedJob:
        """Create a job, unless it is refused."""
        token = body["query"].get("page_token")
        if self._is_refused(page, token):
            raise ZohoRefusedError("create a job", Problem(400, "INVALID_REQUEST"))
        self.created.append(page)
        return CreatedJob(f"new-{len(self.created)}", next(self._days))

    def wait(self, _: BulkReadQuery, job: JobRef, **__: Any) -> JobResult:
        """Return a completed job's result at once."""
        more = job.page < PAGES
        token = f"{job.job_id}-next" if more and self._tokens else None
        return JobResult(1, f"/{job.job_id}", more, token)

    def download(self, job: JobRef, result: JobResult) -> Page:
        """Return an empty page, if the job is not `old`."""
        if job.job_id == "old":
            raise JobFailedError("its result is gone")
        return Page(job, result, Archive(str(job), io.BytesIO(), 0))


def followed(jobs: Jobs, start: Position, **query: Any) -> list[tuple[int, str]]:
    """Return the pages of a chain, and the job of each."""
    chain = Chain(
        BulkReadQuery("Deals", (), **query),
        jobs=jobs,  # type: ignore[arg-type]
        created=[start] if start.job_id else (),
    )
    return [(each.page.job.page, each.page.job.job_id) for each in chain.follow(start)]


@pytest.mark.parametrize("job_id", [None, "old", "kept"])
def test_page_numbers_of_another_day_are_read_from_the_first_page(job_id: str | None) -> None:
    """Its old job may still be listed as completed, with or without its result."""
    jobs = Jobs(tokens=False)

    pages = followed(jobs, Position(2, None, job_id, DAYS_AGO), api_version="v6")

    assert [page for page, _ in pages] == [1, 2, 3]
    assert all(job.startswith("new-") for _, job in pages)


def test_a_dead_job_and_a_dead_token_restart_the_chain() -> None:
    jobs = Jobs(tokens=True, is_refused=lambda _, token: token in {"dead", "old-next"})

    pages = followed(jobs, Position(2, "dead", "old", DAYS_AGO))

    assert [page for page, _ in pages] == [1, 2, 3]


def test_a_first_page_whose_job_is_gone_begins_a_chain_of_its_own() -> None:
    jobs = Jobs(tokens=False)

    pages = followed(jobs, Position(1, None, "old", DAYS_AGO), api_version="v6")

    assert [page for page, _ in pages] == [1, 2, 3]
    assert jobs.created == [2, 1, 2, 3]  # The first is of the old chain, before its end is known.


def test_page_numbers_that_are_stale_again_fail_the_stream() -> None:
    """Each job is created days after the one before, so the numbers never hold."""
    jobs = Jobs(tokens=False, days=[DAYS_AGO, NOW])

    with pytest.raises(UnreadableStreamError, match="`api_version`"):
        followed(jobs, Position(), api_version="v6")
    assert jobs.created == [1, 2, 1, 2]
