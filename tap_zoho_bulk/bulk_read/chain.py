"""The chain: the jobs and pages of one query, one after another.

It can begin at any position, which is how a sync that stopped goes on, and how a damaged page is
read again. One thread follows it, while another may ask which jobs it has made.

Invariant: pages come in order and none is left out; a page's job is made once, unless it fails.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.job import SCOPE, utc_or_none
from tap_zoho_bulk.exceptions import (
    CreditLimitReachedError,
    JobFailedError,
    MissingScopeError,
    ZohoRefusedError,
    ZohoUnavailableError,
)
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tap_zoho_bulk.api.client import Spending
    from tap_zoho_bulk.bulk_read.job import BulkReadJobs, CreatedJob, JobResult
    from tap_zoho_bulk.bulk_read.page import Page, Spool
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery

POSITION_LIFE = timedelta(hours=24)
"""How long Zoho keeps results and page tokens."""
JOB_TRIES = 3
"""How often a page's job is made before the stream fails."""

_REJECTED_FIELD = frozenset({"FIELD_NOT_AVAILABLE", "FIELD_NOT_SUPPORTED"})
_TOO_MANY_JOINS = "JOIN_LIMIT_EXCEEDED"

logger = logging.getLogger("tap-zoho-bulk.chain")


@dataclass(frozen=True)
class Position:
    """Where a chain stands: the page that comes next.

    Args:
        page: Its number, from 1.
        page_token: Zoho's token for it, where there is one.
        job_id: The job that was made for it, if one was.
        started: When the chain's first job was created, by the server's clock, in UTC form.
        rejected: Fields that Zoho refused by name, which the chain goes on without.
    """

    page: int = 1
    page_token: str | None = None
    job_id: str | None = None
    started: str | None = None
    rejected: tuple[str, ...] = ()

    def to_state(self) -> dict[str, Any]:
        """Give what STATE keeps of it; what is empty is left out."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(self).items()
            if value
        }

    @classmethod
    def from_state(cls, state: Any) -> Position | None:
        """Read it from STATE.

        Args:
            state: As `to_state` gave it, or anything else.

        Returns:
            The position; None where this is not one that a chain can go on from.
        """
        if not isinstance(state, dict):
            return None
        page, started = state.get("page"), utc_or_none(state.get("started"))
        token, job_id = state.get("page_token"), state.get("job_id")
        rejected = state.get("rejected", [])
        if (
            not isinstance(page, int)
            or page < 1
            or started is None
            or not (token is None or isinstance(token, str))
            or not (job_id is None or isinstance(job_id, str))
            or not isinstance(rejected, list)
            or not all(isinstance(name, str) for name in rejected)
        ):
            return None
        return cls(page, token, job_id, started, tuple(rejected))


@dataclass(frozen=True)
class ChainPage:
    """A page, and where in its chain it stands.

    Args:
        page: On disk.
        position: The chain's, when the page was read.
        following: The position after it; None after the last page.
    """

    page: Page
    position: Position
    following: Position | None


class Chain:
    """The jobs and pages of one query.

    Args:
        query: What to read.
        jobs: Creates jobs and waits for them.
        spool: Downloads pages.
        spending: Counts what the chain costs.
        is_unchanged: Asked before the first job is made; where it says so, there are no pages.
    """

    def __init__(
        self,
        query: BulkReadQuery,
        *,
        jobs: BulkReadJobs,
        spool: Spool,
        spending: Spending,
        is_unchanged: Callable[[], bool] | None = None,
    ) -> None:
        self.query = query
        self._is_unchanged = is_unchanged
        self.spending = spending
        self._jobs = jobs
        self._spool = spool
        self._made: dict[tuple[int, str | None], Position] = {}
        self._named: dict[str, int] = {}  # the page that each page token stands for
        self._restarted = False

    def follow(self, start: Position) -> Iterator[ChainPage]:
        """Read pages to the last one.

        The job of the page after is made before a page is downloaded, so that Zoho works on it
        meanwhile.

        Args:
            start: Where to begin.

        Raises:
            JobFailedError: When a page's job failed as often as it is tried.
            TapZohoBulkError: As `ZohoClient` does.
        """
        if start == Position() and self._is_unchanged is not None and self._is_unchanged():
            return
        position: Position | None = start
        while position is not None:
            read = self._read(position)
            yield read
            position = read.following

    def ahead(self, position: Position) -> list[dict[str, Any]]:
        """Give what STATE keeps of the jobs that were made for pages after a position.

        Args:
            position: Any of this chain.
        """
        return [
            {
                key: value
                for key, value in made.to_state().items()
                if key in {"page", "page_token", "job_id"}
            }
            for made in list(self._made.values())  # Another thread may add one meanwhile.
            if made.page > position.page
        ]

    def recall(self, position: Position, ahead: Any) -> None:
        """Take up the jobs that an earlier run made for pages after a position.

        Args:
            position: Where the chain goes on.
            ahead: As `ahead` gave it, or anything else, of which nothing is taken.
        """
        for one in ahead if isinstance(ahead, list) else []:
            if not isinstance(one, dict):
                continue
            made = Position.from_state({**position.to_state(), "page_token": None, **one})
            if made is not None and made.job_id and made.page > position.page:
                self._made[made.page, made.page_token] = made

    def with_job(self, position: Position) -> Position:
        """Give a position together with the job that was made for it, if one was.

        Args:
            position: Any of this chain.
        """
        return self._made.get((position.page, position.page_token), position)

    def forget_up_to(self, page: int) -> None:
        """Let go of the jobs of pages that nobody needs any more.

        Args:
            page: Number of the last such page.
        """
        for key in list(self._made):  # Another thread may add one meanwhile.
            if key[0] <= page:
                self._made.pop(key, None)

    def make_again(self, position: Position) -> Position:
        """Give the same position without its job, so that a new one is made.

        Args:
            position: Any of this chain.
        """
        self._made.pop((position.page, position.page_token), None)
        for key in list(self._made):
            if key[0] > position.page and key[1] is not None:
                self._made.pop(key, None)  # The new job names a new token for the page after.
        return replace(position, job_id=None)

    def _read(self, position: Position) -> ChainPage:
        module, path = self.query.module, self.query.path
        failures = 0
        while True:
            try:
                position, job_id = self._ensure_job(position)
                result = self._jobs.wait(module, position.page, job_id, path, self.spending)
                following = self._following(position, result)
                page = self._spool.download(
                    module,
                    position.page,
                    job_id,
                    result,
                    scope=SCOPE.format(module=module),
                    spending=self.spending,
                )
            except JobFailedError as error:
                failures += 1
                failed, position = position, self.make_again(position)
                if failures == JOB_TRIES:
                    logger.info(
                        "%s: no more jobs are made for page %d.",
                        module,
                        failed.page,
                        extra=self._failed(failed),
                    )
                    raise JobFailedError(
                        f"{error} So it went with {JOB_TRIES} jobs for page {failed.page}. Try "
                        "again later; report it to Zoho's support if it stays."
                    ) from error
                logger.warning("%s Making the job again.", error, extra=self._failed(failed))
                continue
            return ChainPage(page, position, following)

    def _failed(self, position: Position) -> dict[str, Any]:
        return event("job_failed", self.spending.stream, page=position.page, job_id=position.job_id)

    def _following(self, position: Position, result: JobResult) -> Position | None:
        """Find the position after a page, with its job made already where that goes."""
        if not result.more_records:
            return None
        token = result.next_page_token
        number = position.page + 1
        if token is not None and self._named.setdefault(token, number) != number:
            raise JobFailedError(
                f"{self.query.module}: after page {position.page} Zoho names a page that was read "
                "before."
            )
        following = replace(position, page=number, page_token=token, job_id=None)
        try:
            return self._ensure_job(following)[0]
        except (
            CreditLimitReachedError,
            JobFailedError,
            ZohoRefusedError,
            ZohoUnavailableError,
        ) as error:
            # The page at hand is worth having first; the job is tried again when its turn comes.
            logger.debug("No job ahead: %s", error)
            return following

    def _ensure_job(self, position: Position) -> tuple[Position, str]:
        """Give the position with its job, which is made unless there is one, and the job's id.

        Where Zoho does not take a page token or number any more, the chain begins anew, once.
        """
        position = self.with_job(position)
        while not position.job_id:
            try:
                created = self._jobs.create(
                    self.query.module,
                    position.page,
                    self.query.path,
                    self.query.without(position.rejected).body(position.page, position.page_token),
                    self.spending,
                )
            except ZohoRefusedError as error:
                position = self._after_refusal(position, error)
                continue
            started = position.started or created.created_time
            if position.page > 1 and position.page_token is None and _is_stale(started, created):
                restarted = self._restarted_at(position, "a day has passed")
                if restarted is not None:
                    position = restarted
                    continue
            position = replace(position, job_id=created.id, started=started)
            self._made[position.page, position.page_token] = position
        return position, position.job_id

    def _after_refusal(self, position: Position, error: ZohoRefusedError) -> Position:
        """Find a position to go on from when Zoho refused a job; raise where there is none."""
        if error.code in _REJECTED_FIELD:
            rejected = self.query.rejecting(str(error.details.get("api_name")), position.rejected)
            if rejected != position.rejected:
                return self._leave_out(position, rejected, error.code)
        if error.code == _TOO_MANY_JOINS:
            return self._after_joins(position, error)
        if position.page > 1 and not isinstance(error, MissingScopeError):
            restarted = self._restarted_at(position, error.code)
            if restarted is not None:
                return restarted
        raise error

    def _after_joins(self, position: Position, error: ZohoRefusedError) -> Position:
        """Go on without the dispensable fields of parent records; raise where there are none."""
        query = self.query.without(position.rejected)
        spare = query.dispensable.intersection(query.related)
        if spare:
            rejected = (*position.rejected, *(name for name in query.related if name in spare))
            return self._leave_out(position, rejected, error.code)
        lookups = dict.fromkeys(name.partition(".")[0] for name in query.related)
        limit = error.details.get("max_limit")
        raise error.with_advice(
            f"Of the fields of parent records, some are to be left out: {_listed(query.related)}. "
            f"They are reached through {len(lookups)} lookups ({_listed(lookups)})"
            + (f", and Zoho joins {limit} in one job" if isinstance(limit, int) else "")
            + ". Deselect them in the catalog, where a property is named with `__` for the point, "
            "or take them out of `related_fields` in `module_options`."
        ) from error

    def _leave_out(self, position: Position, rejected: tuple[str, ...], code: str) -> Position:
        """Go on without some fields, and say so."""
        names = [name for name in rejected if name not in position.rejected]
        logger.warning(
            "%s: Zoho does not export the field%s %s (%s); going on without. Deselect what you do "
            "not need to be rid of this warning.",
            self.query.module,
            "" if len(names) == 1 else "s",
            _listed(names),
            code,
        )
        return replace(position, rejected=rejected)

    def _restarted_at(self, position: Position, why: str) -> Position | None:
        """Begin anew, once; None when that was done before."""
        if self._restarted:
            return None
        logger.warning(
            "%s: the position of page %d holds no more (%s); reading it all again from page 1.",
            self.query.module,
            position.page,
            why,
            extra=event("chain_restarted", self.spending.stream, page=position.page),
        )
        self._restarted = True
        self._made.clear()
        self._named.clear()
        return Position(rejected=position.rejected)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _is_stale(started: str, created: CreatedJob) -> bool:
    """Tell whether a chain is so old that its page numbers mean other records by now.

    A page token would be refused by then; a page number never is.
    """
    age = datetime.fromisoformat(created.created_time) - datetime.fromisoformat(started)
    return age > POSITION_LIFE
