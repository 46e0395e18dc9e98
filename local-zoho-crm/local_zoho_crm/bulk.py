"""The bulk calls: jobs that export records, their state and their result files."""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_zoho_crm.errors import ZohoError
from local_zoho_crm.query import read_request

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from local_zoho_crm.access import Access
    from local_zoho_crm.faults import Faults
    from local_zoho_crm.jobs import Job, JobBoard
    from local_zoho_crm.organisation import Organisation

_JOB_CREDITS = 50
_CHUNK = 256 * 1024
_MINUTE = timedelta(minutes=1)
_FIRST_TOKEN_VERSION = 7


class BulkApi:
    """Handles the bulk calls."""

    def __init__(
        self,
        access: Access,
        board: JobBoard,
        faults: Faults,
        *,
        downloads_per_minute: int | None,
        page_tokens: bool | None,
    ) -> None:
        self._organisation = board.organisation
        self._access = access
        self._board = board
        self._faults = faults
        self._page_tokens = page_tokens
        self._throttle = _DownloadThrottle(board.organisation, downloads_per_minute)

    def routes(self) -> list[Route]:
        """Return the routes of the calls."""
        base = "/crm/bulk/{version}"
        return [
            Route(f"{base}/read", self.create, methods=["POST"]),
            Route(f"{base}/read/{{job_id}}", self.details),
            Route(f"{base}/read/{{job_id}}/result", self.result),
            Route(f"{base}/write/{{job_id}}", self.write_details),
            Route(f"{base}/write/{{job_id}}/result", self.write_result),
        ]

    async def create(self, request: Request) -> Response:
        """Create a job."""
        grant = self._access.admit(request, "ZohoCRM.bulk.READ", credits_=0)
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise ZohoError("MEDIA_TYPE_NOT_SUPPORTED")
        version = self._access.version(request)
        bulk_request = read_request(
            await request.body(),
            self._organisation,
            version=version,
            page_tokens=self._has_tokens(version),
        )
        if bulk_request.query:
            module = bulk_request.query.module
            group = "custom" if module.generated_type == "custom" else module.api_name
            authorization = request.headers.get("Authorization")
            self._access.check(authorization, f"ZohoCRM.modules.{group}.READ")
        self._access.afford(_JOB_CREDITS)
        job = self._board.create(
            bulk_request,
            user_id=grant.user_id,
            version=version,
            faults_of=lambda name: self._faults.for_job(request.url.path, name),
        )
        self._access.charge(_JOB_CREDITS)
        details = {"operation": "read", "state": "ADDED", **self._origin(job)}
        success = {"status": "success", "code": "ADDED_SUCCESSFULLY"}
        success_details = {"message": "Added successfully.", "details": details}
        return JSONResponse({"data": [success | success_details], "info": {}}, 201)

    def details(self, request: Request) -> Response:
        """Return a job's state."""
        self._access.admit(request, "ZohoCRM.bulk.READ")
        version = self._access.version(request)
        tokens = self._has_tokens(version)
        job = self._board.poll(request.path_params["job_id"], page_tokens=tokens)
        content = {
            **self._origin(job),
            "operation": "read",
            "state": job.state,
            "query": job.query,
            "file_type": job.chain.query.file_type,
        }
        if result := self._result_json(job, version):
            content["result"] = result
        return JSONResponse({"data": [content]})

    def result(self, request: Request) -> Response:
        """Return a job's result file."""
        self._access.admit(request, "ZohoCRM.bulk.READ")
        self._throttle.admit()
        tokens = self._has_tokens(self._access.version(request))
        file = self._board.result(request.path_params["job_id"], page_tokens=tokens)
        return _Download(file)

    def write_details(self, request: Request) -> Response:
        """Return a bulk write job's state."""
        self._access.admit(request, "ZohoCRM.bulk.CREATE")
        job = self._organisation.bulk_write_jobs.get(request.path_params["job_id"])
        if job is None:
            raise ZohoError("RESOURCE_NOT_FOUND", resource=request.path_params["job_id"])
        return JSONResponse(job.details(self._organisation, str(request.base_url).rstrip("/")))

    def write_result(self, request: Request) -> Response:
        """Return the result file of a bulk write job."""
        self._access.admit(request, "ZohoCRM.bulk.CREATE")
        self._throttle.admit()
        job = self._organisation.bulk_write_jobs.get(request.path_params["job_id"])
        if job is None or job.status != "COMPLETED":
            resource = request.path_params["job_id"]
            raise ZohoError("RESOURCE_NOT_FOUND", status=400, resource=resource)
        headers = _download_headers(f"{job.module}-bulkwrite.zip", "application/octet-stream")
        return Response(job.archive(), headers=headers)

    def run_jobs(self) -> None:
        """Run every job whose time has come, also if no client asks for it."""
        self._board.run_due(page_tokens=self._has_tokens)

    def _has_tokens(self, version: int) -> bool:
        return version >= _FIRST_TOKEN_VERSION if self._page_tokens is None else self._page_tokens

    def _origin(self, job: Job) -> dict[str, Any]:
        user = self._organisation.user_reference(job.chain.user_id)
        return {
            "id": job.id,
            "created_by": {"id": user["id"], "name": user["name"]},
            "created_time": self._organisation.timestamp(job.created_time),
        }

    def _result_json(self, job: Job, version: int) -> dict[str, Any] | None:
        if job.state == "FAILURE" and (failure := job.faults.get("job_failure")):
            return {"error_message": failure.error}
        if job.state != "COMPLETED" or job.outcome is None:
            return None
        url = f"/crm/bulk/v{version}/read/{job.id}/result"
        off, elsewhere = job.faults.get("count_off_by"), job.faults.get("download_url")
        content = {
            "page": job.page,
            "per_page": job.outcome.per_page,
            "count": job.outcome.count + (off.off_by if off else 0),
            "download_url": elsewhere.location.format(job_id=job.id) if elsewhere else url,
            "more_records": job.outcome.more_records,
        }
        if job.outcome.next_page_token:
            content["next_page_token"] = job.outcome.next_page_token
        return content


class _DownloadThrottle:
    """A maximum of downloads per minute. One download too many blocks all for a minute."""

    def __init__(self, organisation: Organisation, limit: int | None) -> None:
        self._organisation = organisation
        self._limit = limit
        self._lock = threading.Lock()
        self._recent: deque[datetime] = deque()
        self._blocked_until: datetime | None = None

    def admit(self) -> None:
        """Count a download.

        Raises:
            ZohoError: The limit is exceeded.
        """
        if self._limit is None:
            return
        with self._lock:
            now = self._organisation.now()
            if self._blocked_until and now < self._blocked_until:
                raise ZohoError("TOO_MANY_REQUESTS")
            while self._recent and self._recent[0] <= now - _MINUTE:
                self._recent.popleft()
            if len(self._recent) >= self._limit:
                self._blocked_until = now + _MINUTE
                raise ZohoError("TOO_MANY_REQUESTS")
            self._recent.append(now)


class _Download(Response):
    """Streams a complete file; ranges are not supported."""

    def __init__(self, file: Path) -> None:
        self._file = file
        super().__init__(headers=_download_headers(file.name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        del scope, receive
        with self._file.open("rb") as content:
            size = self._file.stat().st_size
            headers = [
                (name, str(size).encode() if name == b"content-length" else value)
                for name, value in self.raw_headers
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while piece := content.read(_CHUNK):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _download_headers(name: str, media_type: str = "application/x-download") -> dict[str, str]:
    # Zoho's samples and SDKs find the name only between '' or "".
    return {
        "Content-Type": media_type,
        "Content-Disposition": f"attachment;filename*=UTF-8''{name}",
    }
