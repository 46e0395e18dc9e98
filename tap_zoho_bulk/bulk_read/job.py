"""The job: created, then polled until Zoho has completed it.

Invariant: only the state COMPLETED with a result counts as success, and every job ends: by its
status, or by `job_timeout_seconds`.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/job-details.html
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.bulk_read.page import JobResult, Page
from tap_zoho_bulk.crm.job_status import JobStatus
from tap_zoho_bulk.crm.timestamps import utc_or_none
from tap_zoho_bulk.exceptions import JobFailedError, StoppedError, ZohoRefusedError
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.bulk_read.download import Downloader
    from tap_zoho_bulk.bulk_read.page import JobRef
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery
    from tap_zoho_bulk.reporting.events import Kind
    from tap_zoho_bulk.reporting.spending import Spending
    from tap_zoho_bulk.settings import Settings

# The end of a job is noticed at most 15 % of its time late; a job of an hour costs 130 requests.
_GROWTH = 1.15
_STILL_WAITING_SECONDS = 60.0

logger = logging.getLogger("tap-zoho-bulk.job")


@dataclass(frozen=True)
class CreatedJob:
    """A job that Zoho has accepted.

    Args:
        id: Zoho's id.
        created_time: By the server's clock, in UTC form.
    """

    id: str
    created_time: str


class BulkReadJobs:
    """Creates one stream's jobs, polls them, and downloads their results.

    Args:
        client: Zoho's API.
        downloader: Downloads results.
        settings: The run's settings.
        spending: Counts what the jobs cost.
        clock: Returns the time in seconds; it never goes back.
    """

    def __init__(
        self,
        client: ZohoClient,
        downloader: Downloader,
        settings: Settings,
        spending: Spending,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spending = spending
        self._client = client
        self._downloader = downloader
        self._settings = settings
        self._clock = clock

    def reserve(self, *, is_created: bool) -> None:
        """Reserve the API credits of the stream's first job.

        Args:
            is_created: Whether an earlier run created it.

        Raises:
            CreditLimitReachedError: When it would exceed the limit.
            StoppedError: When the run is shutting down.
        """
        self._client.credits.reserve_job(self.spending, is_created=is_created)

    def release(self) -> None:
        """Release what the stream has reserved."""
        self._client.credits.release(self.spending)

    def create(self, query: BulkReadQuery, page: int, body: dict[str, Any]) -> CreatedJob:
        """Create a job.

        Args:
            query: The query whose page the job exports.
            page: Number of the page, from 1; for messages.
            body: The request's body.

        Raises:
            JobFailedError: When Zoho's response holds no job.
            TapZohoBulkError: As `ZohoClient.create_job` does.
        """
        module = query.module
        request = ApiRequest(
            query.path,
            what=f"create a bulk read job for page {page} of {module}",
            scope=scope_of(module),
        )
        response = self._client.create_job(request, body, spending=self.spending)
        details = _first(response).get("details")
        if not isinstance(details, dict):
            details = {}
        job_id, created_time = details.get("id"), utc_or_none(details.get("created_time"))
        if not isinstance(job_id, (str, int)) or created_time is None:
            raise JobFailedError(
                f"Zoho accepted a bulk read job for page {page} of {module}, but returned no id "
                "or no creation time."
            )
        logger.info(
            "%s: job %s created for page %d.",
            module,
            job_id,
            page,
            extra=event(
                "job_created",
                self.spending.stream,
                page=page,
                job_id=str(job_id),
                credits=self.spending.credits,
            ),
        )
        return CreatedJob(str(job_id), created_time)

    def wait(
        self, query: BulkReadQuery, job: JobRef, *, is_closed: Callable[[], bool] = lambda: False
    ) -> JobResult:
        """Poll a job until it is completed.

        Args:
            query: The query whose page the job exports.
            job: The job.
            is_closed: Returns whether the result is no longer of use.

        Raises:
            JobFailedError: When the job fails, is unknown to Zoho, or takes too long.
            StoppedError: When the run is shutting down, or the result is no longer of use.
            TapZohoBulkError: As `ZohoClient.get` does.
        """
        request = ApiRequest(
            f"{query.path}/{job.job_id}",
            what=f"check the bulk read job of page {job.page} of {job.module} (job {job.job_id})",
            scope=scope_of(job.module),
            expects="data",
        )
        log = _WaitLog(job, self.spending, self._clock)
        for _ in poll_intervals(self._settings, self._client.stop, clock=self._clock):
            if is_closed():
                raise StoppedError
            details = self._details(request, job)
            state = str(details.get("state") or "in no state")
            status = JobStatus.parse(state)
            if status is JobStatus.FAILED:
                raise JobFailedError(self._client.redact(_failure(job, details)))
            if status is JobStatus.COMPLETED:
                result = JobResult.parse(details.get("result"))
                if result is not None:
                    log.completed(result)
                    return result
                state = "COMPLETED with an incomplete result"
            log.still(state)
        raise JobFailedError(
            f"{job.module}: bulk read job {job.job_id} was still {log.state} after "
            f"{log.seconds:.0f} s. Raise `job_timeout_seconds`, or sync fewer "
            "modules at a time: Zoho may run an account's jobs sequentially."
        )

    def download(self, job: JobRef, result: JobResult) -> Page:
        """Download the result of a completed job.

        Args:
            job: The job.
            result: From `wait`.

        Raises:
            JobFailedError: When Zoho no longer has the result.
            SpoolError: When it cannot be written.
            TapZohoBulkError: As `ZohoClient.download` does.
        """
        archive = self._downloader.download(
            job, result.download_url, scope=scope_of(job.module), spending=self.spending
        )
        self._client.credits.job_ended(self.spending)
        return Page(job, result, archive)

    def _details(self, request: ApiRequest, job: JobRef) -> dict[str, Any]:
        try:
            response = self._client.get(request, spending=self.spending)
        except ZohoRefusedError as error:
            if error.code in {"RESOURCE_NOT_FOUND", "HTTP_404"}:
                raise JobFailedError(
                    f"{job.module}: Zoho has no bulk read job {job.job_id}."
                ) from error
            raise
        return _first(response or {})


class _WaitLog:
    """Logs a job's states: each change, and an unchanged one once a minute.

    Args:
        job: The job.
        spending: What the stream has cost so far.
        clock: Returns the time in seconds; it never goes back.
    """

    def __init__(self, job: JobRef, spending: Spending, clock: Callable[[], float]) -> None:
        self.state = ""
        self._job = job
        self._spending = spending
        self._clock = clock
        self._began = clock()
        self._logged = self._began

    @property
    def seconds(self) -> float:
        """Seconds since the wait began."""
        return self._clock() - self._began

    def completed(self, result: JobResult) -> None:
        """Log that the job is completed.

        Args:
            result: Its result.
        """
        logger.info(
            "%s: job %s completed with %d records.",
            self._job.module,
            self._job.job_id,
            result.count,
            extra=self._event("job_completed", records=result.count),
        )

    def still(self, state: str) -> None:
        """Log that the job is still running, if its state changed or a minute has passed.

        Args:
            state: As Zoho names it.
        """
        now = self._clock()
        if state == self.state and now - self._logged < _STILL_WAITING_SECONDS:
            return
        self.state, self._logged = state, now
        logger.info(
            "%s: job %s is %s, %.0f s so far.",
            self._job.module,
            self._job.job_id,
            state,
            self.seconds,
            extra=self._event("job_state", state=state),
        )

    def _event(self, kind: Kind, **fields: Any) -> dict[str, Any]:
        return event(
            kind,
            self._spending.stream,
            page=self._job.page,
            job_id=self._job.job_id,
            seconds=round(self.seconds, 3),
            credits=self._spending.credits,
            **fields,
        )


def poll_intervals(
    settings: Settings,
    stop: threading.Event,
    *,
    at_once: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Yield each time the job should be polled: at growing intervals, and at the deadline.

    Args:
        settings: The run's settings.
        stop: Set when the run shuts down.
        at_once: Whether to poll for the first time without a wait.
        clock: Returns the time in seconds; it never goes back.

    Raises:
        StoppedError: When the run is shutting down.
    """
    deadline = clock() + settings.job_timeout_seconds
    interval = settings.poll_interval_seconds
    if at_once:
        yield
    while (left := deadline - clock()) > 0:
        if stop.wait(min(interval, left)):
            raise StoppedError
        yield
        interval = min(interval * _GROWTH, settings.max_poll_interval_seconds)


def scope_of(module: str) -> str:
    """Return the OAuth scopes that reading a module in bulk needs, for messages.

    Args:
        module: API name of the module.
    """
    return f"ZohoCRM.bulk.READ and ZohoCRM.modules.ALL (or ZohoCRM.modules.{module}.READ)"


def _first(response: dict[str, Any]) -> dict[str, Any]:
    data = response.get("data")
    first = data[0] if isinstance(data, list) and data else None
    return first if isinstance(first, dict) else {}


def _failure(job: JobRef, details: dict[str, Any]) -> str:
    result = details.get("result")
    problem = result.get("error_message") if isinstance(result, dict) else None
    if not isinstance(problem, dict):
        problem = {}
    code, message = problem.get("code", "no code"), problem.get("message", "no message")
    return f"{job.module}: bulk read job {job.job_id} ended in FAILURE: {code} ({message})."
