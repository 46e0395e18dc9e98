"""The chain: the jobs and pages of one query, one after another.

It can begin at any position, which is how a sync resumes and how a damaged page is read again. One
thread follows it; the jobs that it creates are in its ledger, which other threads may read.

Invariant: pages come in order and none is left out; a page's job is created once, unless it fails.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.ledger import JobLedger
from tap_zoho_bulk.bulk_read.page import JobRef
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.refusals import REFUSAL_LIFE
from tap_zoho_bulk.exceptions import (
    CreditLimitReachedError,
    JobFailedError,
    MissingScopeError,
    StoppedError,
    UnreadableStreamError,
    ZohoRefusedError,
    ZohoUnavailableError,
)
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tap_zoho_bulk.bulk_read.job import BulkReadJobs, CreatedJob
    from tap_zoho_bulk.bulk_read.page import JobResult, Page
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery

POSITION_LIFE = timedelta(hours=24)
"""How long Zoho keeps results and page tokens."""
MAX_JOBS_PER_PAGE = 3
"""Jobs that are created for one page before the stream fails."""

_GONE = "FIELD_NOT_AVAILABLE"
_REJECTED_FIELD = frozenset({_GONE, "FIELD_NOT_SUPPORTED"})
_TOO_MANY_JOINS = "JOIN_LIMIT_EXCEEDED"

logger = logging.getLogger("tap-zoho-bulk.chain")


@dataclass(frozen=True)
class ChainPage:
    """A page, and its place in the chain.

    Args:
        page: The page, on disk.
        position: Its position in the chain.
        following: The position of the next page; None after the last page.
    """

    page: Page
    position: Position
    following: Position | None


class _RestartError(Exception):
    """The chain begins again at its first page."""

    def __init__(self, position: Position) -> None:
        super().__init__()
        self.position = position


class Chain:
    """The jobs and pages of one query.

    Args:
        query: What to read.
        jobs: Creates jobs, polls them and downloads their results.
        created: Positions of jobs that an earlier run created for its pages.
        is_unchanged: Asked before the first job is created; there are no pages if it returns True.
    """

    def __init__(
        self,
        query: BulkReadQuery,
        *,
        jobs: BulkReadJobs,
        created: Iterable[Position] = (),
        is_unchanged: Callable[[], bool] | None = None,
    ) -> None:
        self.query = query
        self._is_unchanged = is_unchanged
        self.spending = jobs.spending
        self._jobs = jobs
        self.ledger = JobLedger(created)
        self._pages_of_tokens: dict[str, int] = {}
        self._restarted = False
        self._refusals: list[str] = []
        self._left_out_logged: tuple[str, ...] = ()
        self._is_closed = threading.Event()
        self._creating = threading.Lock()

    def close(self) -> None:
        """Create no more jobs: nothing of what is read now is of use."""
        self._is_closed.set()

    def settle(self) -> None:
        """Wait for the job that Zoho is creating, if there is one, so that the ledger has it.

        The run must be shutting down, so that no other one follows.
        """
        if self._creating.locked():
            logger.info("%s: Waiting for the job that Zoho is creating.", self.query.module)
        with self._creating:
            pass

    def reserve(self, start: Position) -> None:
        """Reserve the API credits of the first job, or of what follows if it exists.

        Args:
            start: Where the chain is to begin.

        Raises:
            CreditLimitReachedError: When it would exceed the limit.
            StoppedError: When the run is shutting down.
        """
        self._jobs.reserve(is_created=bool(self.ledger.find(start).job_id))

    def release(self) -> None:
        """Release what is reserved, when the chain is no longer followed."""
        self._jobs.release()

    def for_retry(self) -> Chain:
        """Close the chain, and return it for another thread, with the jobs that it has so far.

        A job that the thread which follows this one is creating is then none of the other's.
        """
        self.close()
        chain = Chain(self.query, jobs=self._jobs, created=self.ledger.jobs())
        chain._restarted = self._restarted
        chain._left_out_logged = self._left_out_logged
        return chain

    def follow(
        self, start: Position, *, before_download: Callable[[JobRef], object] = lambda _: None
    ) -> Iterator[ChainPage]:
        """Read pages to the last one.

        The next page's job is created before a page is downloaded, so that Zoho works on it
        meanwhile.

        Args:
            start: Where to begin.
            before_download: Called with the job before each download; it may wait.

        Raises:
            JobFailedError: When a page's job failed as often as it is retried.
            UnreadableStreamError: When page numbers have become stale for the second time.
            TapZohoBulkError: As `ZohoClient` does.
        """
        if start.started is None and self._is_unchanged is not None and self._is_unchanged():
            return
        position: Position | None = start
        while position is not None:
            try:
                read = self._read(position, before_download)
            except _RestartError as restart:
                position = restart.position
                continue
            yield read
            position = read.following

    def _read(self, position: Position, before_download: Callable[[JobRef], object]) -> ChainPage:
        module = self.query.module
        failures = 0
        while True:
            try:
                position, job_id = self._ensure_job(position)
                self._log_left_out(position.rejected)
                job = JobRef(module, position.page, job_id)
                result = self._jobs.wait(self.query, job, is_closed=self._is_closed.is_set)
                following = self._following(position, result)
                before_download(job)
                page = self._jobs.download(job, result)
            except JobFailedError as error:
                failures += 1
                failed, position = position, self.ledger.drop(position)
                if failures == MAX_JOBS_PER_PAGE:
                    logger.info(
                        "%s: Creating no more jobs for page %d.",
                        module,
                        failed.page,
                        extra=self._failed(failed),
                    )
                    raise JobFailedError(
                        f"{error} Gave up on page {failed.page} after {MAX_JOBS_PER_PAGE} jobs. "
                        "Try again later; contact Zoho support if it persists."
                    ) from error
                logger.warning("%s Creating the job again.", error, extra=self._failed(failed))
                continue
            return ChainPage(page, position, following)

    def _failed(self, position: Position) -> dict[str, Any]:
        return event("job_failed", self.spending.stream, page=position.page, job_id=position.job_id)

    def _following(self, position: Position, result: JobResult) -> Position | None:
        """Return the next page's position, with its job already created if possible."""
        if not result.more_records:
            return None
        token = result.next_page_token
        number = position.page + 1
        if token is not None and self._pages_of_tokens.setdefault(token, number) != number:
            raise JobFailedError(
                f"{self.query.module}: after page {position.page} Zoho names a page that was read "
                "before."
            )
        following = replace(position, page=number, page_token=token, job_id=None)
        try:
            return self._ensure_job(following, ahead=True)[0]
        except (
            CreditLimitReachedError,
            JobFailedError,
            ZohoRefusedError,
            ZohoUnavailableError,
        ) as error:
            # Download this page first; the job is retried when its turn comes.
            logger.debug("No job ahead: %s", error)
            return following

    def _ensure_job(self, position: Position, *, ahead: bool = False) -> tuple[Position, str]:
        """Return the position with its job, which is created if there is none, and the job's id.

        If Zoho no longer accepts a page token or number, the chain restarts, once.
        """
        position = self.ledger.find(position)
        while not position.job_id:
            if self._is_closed.is_set():
                raise StoppedError
            with self._creating:
                position = self._with_new_job(position, ahead=ahead)
        return position, position.job_id

    def _with_new_job(self, position: Position, *, ahead: bool) -> Position:
        """Return the position with a new job; without one, if Zoho has to be asked otherwise."""
        try:
            created = self._jobs.create(
                self.query,
                position.page,
                self.query.without(position.rejected).body(position.page, position.page_token),
            )
        except ZohoRefusedError as error:
            return self._after_refusal(position, error, ahead=ahead)
        # A chain starts with the job of its first page, also if that is created again.
        started = (position.page > 1 and position.started) or created.created_time
        if position.page > 1 and position.page_token is None and _is_stale(started, created):
            self._restart(position, "a day has passed")
            raise UnreadableStreamError(
                f"{self.query.module}: reading took more than a day, twice, so page numbers "
                "mean other records by now. Set `api_version` to v7 or later, which have page "
                "tokens."
            )
        position = replace(position, job_id=created.id, started=started)
        self.ledger.add(position)
        return position

    def _after_refusal(
        self, position: Position, error: ZohoRefusedError, *, ahead: bool
    ) -> Position:
        """Return a position to continue from after Zoho refused a job; raise if there is none."""
        if error.code in _REJECTED_FIELD:
            rejected = self.query.rejecting(
                str(error.problem.details.get("api_name")), position.rejected
            )
            if rejected != position.rejected:
                self._refusals.append(error.code)
                return replace(position, rejected=rejected)
        if error.code == _TOO_MANY_JOINS:
            return self._after_joins(position, error)
        if position.page > 1 and not ahead and not isinstance(error, MissingScopeError):
            self._restart(position, error.code)
        raise error

    def _after_joins(self, position: Position, error: ZohoRefusedError) -> Position:
        """Continue without the dispensable fields of parent records; raise if there are none."""
        query = self.query.without(position.rejected)
        spare = query.dispensable.intersection(query.related)
        if spare:
            rejected = (*position.rejected, *(name for name in query.related if name in spare))
            self._refusals.append(error.code)
            return replace(position, rejected=rejected)
        lookups = dict.fromkeys(name.partition(".")[0] for name in query.related)
        limit = error.problem.details.get("max_limit")
        raise error.with_advice(
            f"Leave out some fields of parent records: {_listed(query.related)}. They need "
            f"{len(lookups)} joins ({_listed(lookups)})"
            + (f", and Zoho allows {limit} in one job" if isinstance(limit, int) else "")
            + ". Deselect them in the catalog, where their names have `__` in place of the point, "
            "or remove them from `related_fields` in `module_options`."
        ) from error

    def _log_left_out(self, names: tuple[str, ...]) -> None:
        """Log all fields that are left out, in one line, unless a line has named them before."""
        if names == self._left_out_logged:
            return
        codes = list(dict.fromkeys(self._refusals))
        logger.log(
            logging.WARNING if codes else logging.INFO,
            "%s: Zoho does not export the field%s %s (%s). Continuing without, and requesting them "
            "again after %d days, or when the selection changes. %sDeselect what you do not need "
            "to silence this line.",
            self.query.module,
            "" if len(names) == 1 else "s",
            _listed(names),
            ", ".join(codes) or "refused in an earlier run",
            REFUSAL_LIFE.days,
            "If one is gone from Zoho, discover the catalog again. " if _GONE in codes else "",
            extra=event("fields_left_out", self.spending.stream, names=[*names], codes=codes),
        )
        self._left_out_logged = names
        self._refusals.clear()

    def _restart(self, position: Position, why: str) -> None:
        """Restart the chain, unless it did before.

        Pages that are not yet emitted are abandoned: the new chain has their records.

        Raises:
            _RestartError: To begin again.
        """
        if self._restarted:
            return
        logger.warning(
            "%s: Zoho no longer accepts the position of page %d (%s). Restarting from page 1.",
            self.query.module,
            position.page,
            why,
            extra=event("chain_restarted", self.spending.stream, page=position.page),
        )
        self._restarted = True
        self.ledger.clear()
        self._pages_of_tokens.clear()
        raise _RestartError(Position(rejected=position.rejected))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _is_stale(started: str, created: CreatedJob) -> bool:
    """Return whether a chain is too old for its page numbers to mean the same records.

    Zoho would refuse a page token by then, but never refuses a page number.
    """
    age = datetime.fromisoformat(created.created_time) - datetime.fromisoformat(started)
    return age > POSITION_LIFE
