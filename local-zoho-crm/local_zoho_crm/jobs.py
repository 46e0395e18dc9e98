"""Bulk read jobs: queued, run by the server's clock, paged, and expired after a day."""

from __future__ import annotations

import random
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from local_zoho_crm.errors import ZohoError
from local_zoho_crm.export import Damage, csv_columns, write_csv, write_ics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from local_zoho_crm.export import CsvStyle
    from local_zoho_crm.faults import Fault
    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.query import BulkQuery, BulkRequest

ICS_PAGE_SIZE = 20_000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)
_WORKERS = 4
_PATIENCE_SECONDS = 2.0
_KEPT = timedelta(days=1)
_JOB_ID_BASE = 5725767000009000001


@dataclass
class Chain:
    """The pages of one query: the ids that its first job found, in arbitrary order."""

    query: BulkQuery
    user_id: str
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PageToken:
    """A position in a chain."""

    chain: Chain
    page: int
    expires: datetime


@dataclass
class Outcome:
    """The result of a completed job."""

    ids: tuple[str, ...]
    more_records: bool
    next_page_token: str | None
    per_page: int
    file: FilePath

    @property
    def count(self) -> int:
        """Return the number of exported records."""
        return len(self.ids)


@dataclass
class Job:
    """A bulk read job."""

    id: str
    chain: Chain
    page: int
    by_token: bool
    version: int
    created_time: datetime
    starts: datetime
    ends: datetime
    faults: Mapping[str, Fault]
    callback: dict[str, Any] | None = None
    polls: int = 0
    running: Future[Outcome] | None = field(default=None, repr=False)
    outcome: Outcome | None = None
    state: str = "ADDED"
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def query(self) -> dict[str, Any]:
        """Return the query as the job's details repeat it."""
        return self.chain.query.echo(self.page)

    @property
    def module(self) -> str:
        """Return the API name of the exported module."""
        return self.chain.query.module.api_name

    def state_at(self, now: datetime) -> str:
        """Return the job's state at this time."""
        if now >= self.ends:
            return "COMPLETED"
        if now < self.starts:
            return "QUEUED"
        done = (now - self.starts) / (self.ends - self.starts)
        return "ADDED" if done < 0.1 else "QUEUED" if done < 0.2 else "IN PROGRESS"


class JobBoard:
    """All jobs of an organisation, their page tokens and their result files."""

    def __init__(
        self,
        organisation: Organisation,
        *,
        page_size: int,
        job_seconds: float,
        parallel_jobs: int | None,
        style: CsvStyle,
    ) -> None:
        self.organisation = organisation
        self.page_size = page_size
        self.job_seconds = job_seconds
        self.style = style
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._all: list[Job] = []
        self._tokens: dict[str, PageToken] = {}
        self._slots: list[datetime] | None = None
        if parallel_jobs is not None:
            self._slots = [_LONG_AGO] * parallel_jobs
        self._ids = count(_JOB_ID_BASE, 13)
        self._workers = ThreadPoolExecutor(_WORKERS, "zoho-job")
        self._directory = tempfile.TemporaryDirectory(prefix="zoho-server-")

    @property
    def jobs(self) -> list[Job]:
        """Return all jobs ever created, in order."""
        with self._lock:
            return list(self._all)

    def create(
        self,
        request: BulkRequest,
        *,
        user_id: str,
        version: int,
        faults_of: Callable[[str], Mapping[str, Fault]],
    ) -> Job:
        """Create a job for a query or for a query's next page.

        Args:
            request: The query or the page token.
            user_id: The user who creates the job.
            version: The API version of the request.
            faults_of: Returns the faults of a module's job.

        Returns:
            The job.
        """
        with self._lock:
            chain, page = self._place(request, user_id)
            now = self.organisation.now()
            starts, ends = self._schedule(now)
            job = Job(
                id=str(next(self._ids)),
                chain=chain,
                page=page,
                by_token=request.page_token is not None,
                version=version,
                created_time=now,
                starts=starts,
                ends=ends,
                faults=faults_of(chain.query.module.api_name),
                callback=request.callback,
            )
            self._jobs[job.id] = job
            self._all.append(job)
            return job

    def poll(self, job_id: str, *, page_tokens: bool) -> Job:
        """Return a job, run if its time has come.

        Raises:
            ZohoError: The job does not exist.
        """
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise ZohoError("RESOURCE_NOT_FOUND", resource=job_id)
        with job.lock:
            job.polls += 1
            self._advance(job, page_tokens=page_tokens)
        return job

    def run_due(self, *, page_tokens: Callable[[int], bool]) -> None:
        """Run every job whose time has come, as if a client had asked for its state.

        Args:
            page_tokens: Returns whether pages are requested by token in an API version.
        """
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.outcome is None]
        for job in jobs:
            with job.lock:
                self._advance(job, page_tokens=page_tokens(job.version))

    def result(self, job_id: str, *, page_tokens: bool) -> FilePath:
        """Return the result file of a completed job, until it expires after a day.

        Raises:
            ZohoError: The file does not exist or has expired.
        """
        try:
            job = self.poll(job_id, page_tokens=page_tokens)
        except ZohoError as error:
            # The OpenAPI file documents 400 for a download, 404 for a job's details.
            error.status = 400
            raise
        expired = self.organisation.now() >= job.ends + _KEPT
        if job.outcome is None or expired or not job.outcome.file.exists():
            raise ZohoError("RESOURCE_NOT_FOUND", status=400, resource=job_id)
        return job.outcome.file

    def forget(self) -> None:
        """Remove all jobs with their files and page tokens."""
        with self._lock:
            for job in self._jobs.values():
                if job.outcome:
                    job.outcome.file.unlink(missing_ok=True)
            self._jobs.clear()
            self._tokens.clear()

    def close(self) -> None:
        """Remove the result files."""
        self._workers.shutdown(cancel_futures=True)
        self._directory.cleanup()

    def _place(self, request: BulkRequest, user_id: str) -> tuple[Chain, int]:
        if request.query is not None:
            return Chain(request.query, user_id), request.query.page
        token = self._tokens.get(request.page_token or "")
        if token is None or token.chain.user_id != user_id:
            raise ZohoError("INVALID_REQUEST", "The page token is invalid.", api_name="page_token")
        if token.expires <= self.organisation.now():
            raise ZohoError("INVALID_REQUEST", "The page token is expired.", api_name="page_token")
        return token.chain, token.page

    def _schedule(self, now: datetime) -> tuple[datetime, datetime]:
        starts = now
        span = timedelta(seconds=self.job_seconds)
        if self._slots is not None:
            slot = min(range(len(self._slots)), key=self._slots.__getitem__)
            starts = max(now, self._slots[slot])
            self._slots[slot] = starts + span
        return starts, starts + span

    def _advance(self, job: Job, *, page_tokens: bool) -> None:
        """Set a job's state, and export its page if its time has come."""
        job.state = self._state(job)
        if job.state == "COMPLETED" and job.outcome is None:
            job.running = job.running or self._workers.submit(
                self._run, job, page_tokens=page_tokens
            )
            try:
                job.outcome = job.running.result(_PATIENCE_SECONDS)
            except FutureTimeoutError:
                # Writing a large file takes longer than `job_seconds`.
                job.state = "IN PROGRESS"

    def _state(self, job: Job) -> str:
        for kind in ("job_stuck", "job_state", "job_failure"):
            fault = job.faults.get(kind)
            if fault and (fault.polls is None or job.polls <= fault.polls):
                return fault.state
        return job.state_at(self.organisation.now())

    def _run(self, job: Job, *, page_tokens: bool) -> Outcome:
        """Export the job's page from the current data."""
        query, chain = job.chain.query, job.chain
        size = min(self.page_size, ICS_PAGE_SIZE) if query.file_type == "ics" else self.page_size
        if job.by_token:
            ids = chain.ids
        else:
            ids = self.organisation.select(query.module, query.keep)
            if page_tokens:
                # Zoho promises no order, so clients must not rely on one.
                random.Random(f"{self.organisation.seed}:{job.id}").shuffle(ids)
                chain.ids = ids
        begin, end = (job.page - 1) * size, job.page * size
        with self.organisation.lock:
            found = map(query.module.records.get, ids[begin:end])
            rows = [record for record in found if record is not None]
        file = FilePath(self._directory.name) / f"{job.id}.zip"
        damage = _damage(job, len(rows))
        if query.file_type == "ics":
            write_ics(file, rows, organisation=self.organisation, style=self.style, damage=damage)
        else:
            columns = csv_columns(query.paths, self.organisation, self.style)
            write_csv(file, rows, columns, self.style, damage)
        more = len(ids) > end
        return Outcome(
            ids=tuple(str(row["id"]) for row in rows),
            more_records=more,
            next_page_token=self._token(job) if more and page_tokens else None,
            per_page=size,
            file=file,
        )

    def _token(self, job: Job) -> str:
        token = f"{random.Random(f'{self.organisation.seed}:{job.id}:token').getrandbits(144):036x}"
        expires = self.organisation.now() + _KEPT
        with self._lock:
            self._tokens[token] = PageToken(job.chain, job.page + 1, expires)
        return token


def _damage(job: Job, rows: int) -> Damage:
    column, ragged = job.faults.get("drop_column"), job.faults.get("ragged_row")
    return Damage(
        drop_column=column.column if column else None,
        # The middle row, so that clients have read some rows before it
        ragged_row=rows // 2 if ragged else None,
    )
