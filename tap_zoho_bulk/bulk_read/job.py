"""The job: created, then looked at until Zoho has completed it.

Invariant: only the state COMPLETED with a result counts as success, and every job ends: by its
state, or by `job_timeout_seconds`.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/job-details.html
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.crm.field_types import to_utc
from tap_zoho_bulk.exceptions import JobFailedError, StoppedError, ZohoRefusedError
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from tap_zoho_bulk.api.client import Spending, ZohoClient
    from tap_zoho_bulk.settings import Settings

SCOPE = "ZohoCRM.bulk.READ and ZohoCRM.modules.ALL (or ZohoCRM.modules.{module}.READ)"

# So a job's end is seen at most 15 % of its time late; a job of an hour costs some 130 looks.
_GROWTH = 1.15
_STILL_WAITING_SECONDS = 60.0

logger = logging.getLogger("tap-zoho-bulk.job")


@dataclass(frozen=True)
class JobResult:
    """What Zoho says of a completed job's page.

    Args:
        count: Rows in the page.
        download_url: Where its ZIP is.
        more_records: Whether there is a page after it.
        next_page_token: Zoho's token for that page, where the API version has tokens.
    """

    count: int
    download_url: str
    more_records: bool
    next_page_token: str | None

    @classmethod
    def from_answer(cls, result: Any) -> JobResult | None:
        """Read the `result` of a job's details; None where it is not whole.

        Args:
            result: As Zoho sent it.
        """
        if not isinstance(result, dict):
            return None
        count, url = result.get("count"), result.get("download_url")
        more = result.get("more_records")  # Missing does not mean that there are none.
        token = result.get("next_page_token") or None
        if (
            not isinstance(count, int)
            or isinstance(count, bool)
            or count < 0
            or not isinstance(url, str)
            or not url
            or not isinstance(more, bool)
            or not (token is None or isinstance(token, str))
        ):
            return None
        return cls(count, url, more, token)


@dataclass(frozen=True)
class CreatedJob:
    """A job that Zoho has taken.

    Args:
        id: Zoho's id.
        created_time: By the server's clock, in UTC form.
    """

    id: str
    created_time: str


class BulkReadJobs:
    """Creates jobs and waits for them.

    Args:
        client: Zoho's API.
        settings: The run's settings.
    """

    def __init__(self, client: ZohoClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    def create(
        self, module: str, page: int, path: str, body: dict[str, Any], spending: Spending
    ) -> CreatedJob:
        """Start a job.

        Args:
            module: API name of the module; for messages.
            page: Number of the page, from 1; for messages.
            path: Where jobs are created.
            body: The request's body.
            spending: Counts what it costs.

        Raises:
            JobFailedError: When Zoho's answer holds no job.
            TapZohoBulkError: As `ZohoClient.create_job` does.
        """
        answer = self._client.create_job(
            path,
            body,
            what=f"create a bulk read job for page {page} of {module}",
            scope=SCOPE.format(module=module),
            spending=spending,
        )
        details = _first(answer).get("details")
        if not isinstance(details, dict):
            details = {}
        job_id, created_time = details.get("id"), utc_or_none(details.get("created_time"))
        if not isinstance(job_id, (str, int)) or created_time is None:
            raise JobFailedError(
                f"Zoho took a bulk read job for page {page} of {module}, but did not say its id "
                "and when it was created."
            )
        logger.info(
            "%s: job %s created for page %d.",
            module,
            job_id,
            page,
            extra=event(
                "job_created",
                spending.stream,
                page=page,
                job_id=str(job_id),
                credits=spending.credits,
            ),
        )
        return CreatedJob(str(job_id), created_time)

    def wait(self, module: str, page: int, job_id: str, path: str, spending: Spending) -> JobResult:
        """Look at a job until it is completed, at first often, then ever more rarely.

        Args:
            module: API name of the module; for messages.
            page: Number of the page, from 1; for messages.
            job_id: Zoho's id of the job.
            path: Where jobs are created.
            spending: Counts what it costs.

        Raises:
            JobFailedError: When the job fails, is unknown to Zoho, or takes too long.
            StoppedError: When the run is ending.
            TapZohoBulkError: As `ZohoClient.get` does.
        """
        started = last_said = time.monotonic()
        said, state = None, ""
        for _ in looks(self._settings, self._client.stop):
            details = self._details(module, page, job_id, path, spending)
            state = str(details.get("state") or "without a state")
            now = time.monotonic()
            about = {
                "page": page,
                "job_id": job_id,
                "seconds": round(now - started, 3),
                "credits": spending.credits,
            }
            # Zoho writes both "IN PROGRESS" and "INPROGRESS".
            known = state.upper().replace(" ", "").replace("_", "")
            if known in {"FAILURE", "FAILED"}:
                raise JobFailedError(self._client.redact(_failure(module, job_id, details)))
            if known == "COMPLETED":
                result = JobResult.from_answer(details.get("result"))
                if result is not None:
                    logger.info(
                        "%s: job %s completed with %d records.",
                        module,
                        job_id,
                        result.count,
                        extra=event(
                            "job_completed", spending.stream, **about, records=result.count
                        ),
                    )
                    return result
                state = "COMPLETED without a whole result"
            if state != said or now - last_said >= _STILL_WAITING_SECONDS:
                waited = now - started
                logger.info(
                    "%s: job %s is %s, %.0f s so far.",
                    module,
                    job_id,
                    state,
                    waited,
                    extra=event("job_state", spending.stream, **about, state=state),
                )
                said, last_said = state, now
        raise JobFailedError(
            f"{module}: bulk read job {job_id} was still {state} after "
            f"{time.monotonic() - started:.0f} s. Raise `job_timeout_seconds`, or sync fewer "
            "modules at a time: Zoho may run an account's jobs one after another."
        )

    def _details(
        self, module: str, page: int, job_id: str, path: str, spending: Spending
    ) -> dict[str, Any]:
        try:
            answer = self._client.get(
                f"{path}/{job_id}",
                what=f"look at the bulk read job of page {page} of {module} (job {job_id})",
                scope=SCOPE.format(module=module),
                spending=spending,
                expects="data",
            )
        except ZohoRefusedError as error:
            if error.code in {"RESOURCE_NOT_FOUND", "HTTP_404"}:
                raise JobFailedError(f"{module}: Zoho has no bulk read job {job_id}.") from error
            raise
        return _first(answer or {})


def looks(settings: Settings, stop: threading.Event, *, at_once: bool = False) -> Iterator[None]:
    """Say when to look at a job, at first often, then ever more rarely, at last at its deadline.

    Args:
        settings: The run's settings.
        stop: Set when the run is ending.
        at_once: Whether the first look needs no wait.

    Raises:
        StoppedError: When the run is ending.
    """
    deadline = time.monotonic() + settings.job_timeout_seconds
    interval = settings.poll_interval_seconds
    if at_once:
        yield
    while (left := deadline - time.monotonic()) > 0:
        if stop.wait(min(interval, left)):
            raise StoppedError
        yield
        interval = min(interval * _GROWTH, settings.max_poll_interval_seconds)


def _first(answer: dict[str, Any]) -> dict[str, Any]:
    data = answer.get("data")
    first = data[0] if isinstance(data, list) and data else None
    return first if isinstance(first, dict) else {}


def utc_or_none(value: Any) -> str | None:
    """Turn a date-time that came from outside into its UTC form.

    Args:
        value: Anything.

    Returns:
        As `to_utc` does; None where it is no date-time.
    """
    try:
        return to_utc(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _failure(module: str, job_id: str, details: dict[str, Any]) -> str:
    result = details.get("result")
    problem = result.get("error_message") if isinstance(result, dict) else None
    if not isinstance(problem, dict):
        problem = {}
    code, message = problem.get("code", "no code"), problem.get("message", "no message")
    return f"{module}: bulk read job {job_id} ended in FAILURE: {code} ({message})."
