"""Faults that tests inject into responses and jobs."""

from __future__ import annotations

import json
import random
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from local_zoho_crm.request_log import LoggedRequest

ResponseKind = Literal[
    "status",  # respond with `status` and `body`
    "delay",  # wait `seconds` before handling the request
    "reset",  # close the connection without handling the request
    "lost",  # handle the request, then close the connection without a response
    "truncate",  # announce the complete body, send half of it, close the connection
    "corrupt",  # flip bytes in the body
    "vanish",  # respond with RESOURCE_NOT_FOUND: 400 as documented, or 404 if `status` is 404
    "redirect",  # redirect to `location`
]
JobKind = Literal[
    "job_failure",  # the job ends as FAILURE, with `error`
    "job_stuck",  # the job stays in `state`
    "job_state",  # the job has an unknown `state`
    "count_off_by",  # result.count is `off_by` more than the number of rows
    "drop_column",  # the file lacks `column`
    "ragged_row",  # a row of the file lacks its last cell
    "download_url",  # result.download_url is `location`
]
_STATES = {"job_failure": "FAILURE", "job_stuck": "IN PROGRESS", "job_state": "PAUSED"}
_JOB_KINDS = frozenset(get_args(JobKind))
_DOWNLOAD = r"/read/\d+/result$"
# The path of faults that do not set one
_PATHS = {"truncate": _DOWNLOAD, "corrupt": _DOWNLOAD, "vanish": _DOWNLOAD}


@dataclass(kw_only=True)
class Fault:
    """Something that goes wrong, for some requests or jobs.

    Attributes:
        kind: What goes wrong, see `ResponseKind` and `JobKind`. A job fault hits the request that
            creates the job, and stays with that job.
        method: HTTP method; default any.
        path: A regular expression that matches anywhere in the path.
        module: For job faults: only jobs of this module; default any.
        skip: Number of matching requests before the first that is hit.
        times: Number of matching requests that are hit after that; None for all.
        status: HTTP status of the response.
        body: Body of the response; a dict becomes JSON.
        headers: Headers of the response.
        seconds: Duration of a delay.
        location: Target of a redirect or download_url; `{job_id}` is replaced.
        error: The error_message of a failed job.
        state: The state of a stuck job.
        polls: Number of status checks that a job fault lasts; None for all.
        off_by: Added to result.count.
        column: The column to leave out; default the last one.
        hits: Number of requests hit so far.
    """

    kind: ResponseKind | JobKind = "status"
    method: str | None = None
    path: str = ""
    module: str | None = None
    skip: int = 0
    times: int | None = 1
    status: int = 500
    body: bytes | str | dict[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    location: str = "https://elsewhere.example/"
    error: dict[str, Any] = field(
        default_factory=lambda: {
            "status": "error",
            "code": "INTERNAL_SERVER_ERROR",
            "message": "Internal server error occurred.",
            "details": {},
        }
    )
    state: str = ""
    polls: int | None = None
    off_by: int = 1
    column: str = ""
    hits: int = 0

    def __post_init__(self) -> None:
        self.state = self.state or _STATES.get(self.kind, "")
        self.path = self.path or _PATHS.get(self.kind, "")
        self._seen = 0

    @property
    def is_for_jobs(self) -> bool:
        """Return whether the fault affects a job, not a response."""
        return self.kind in _JOB_KINDS

    @property
    def content(self) -> bytes:
        """Return the body as bytes."""
        if isinstance(self.body, dict):
            return json.dumps(self.body).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body

    @property
    def all_headers(self) -> dict[str, str]:
        """Return the headers, with a Content-Type that fits the body."""
        kind = "application/json" if isinstance(self.body, dict) else "text/html"
        return {"Content-Type": kind, **self.headers} if self.body else dict(self.headers)

    def strikes(self, method: str, path: str, module: str | None = None) -> bool:
        """Count this request, and return whether it is hit."""
        if (self.method or method) != method or not re.search(self.path, path):
            return False
        if self.module is not None and self.module != module:
            return False
        self._seen += 1
        if self._seen <= self.skip:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


def too_many_requests(**where: Any) -> Fault:
    """Return a fault with HTTP status 429, Zoho's code and these headers."""
    return Fault(status=429, body=error_body("TOO_MANY_REQUESTS"), **where)


def invalid_token(**where: Any) -> Fault:
    """Return a fault with HTTP status 401 and INVALID_TOKEN."""
    return Fault(status=401, body=error_body("INVALID_TOKEN"), **where)


def html_error(status: int = 503, **where: Any) -> Fault:
    """Return a fault with a proxy's error page, which is not JSON."""
    return Fault(status=status, body="<html><body>Service Unavailable</body></html>", **where)


def error_body(code: str) -> dict[str, Any]:
    """Return the body of a Zoho error."""
    return {"code": code, "details": {}, "message": code.lower(), "status": "error"}


@dataclass(kw_only=True)
class RandomFaults:
    """Random faults, equal for equal seeds and an equal order of requests.

    Attributes:
        seed: Seed of the random choices.
        rate: The share of requests that are hit.
        kinds: Possible kinds, from `RANDOM_KINDS`; default those that a retry overcomes.
        path: A regular expression for paths; default all API calls but not sign-in.
        in_a_row: Maximum consecutive hits on one path.
    """

    seed: int
    rate: float = 0.2
    kinds: Iterable[str] = ()
    path: str = r"^/crm/"
    in_a_row: int = 3

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._row: dict[tuple[str, str], int] = {}
        self._kinds = list(self.kinds) or list(_USUAL_KINDS)

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault of this request, if it is hit."""
        if not re.search(self.path, path):
            return None
        key = (method, path)
        kind = self._rng.choice(self._kinds)
        hit = self._rng.random() < self.rate and self._row.get(key, 0) < self.in_a_row
        if kind in ("truncate", "corrupt") and not re.search(_DOWNLOAD, path):
            # Clients can reliably detect damage only in a result file.
            hit = False
        self._row[key] = self._row.get(key, 0) + 1 if hit else 0
        return RANDOM_KINDS[kind]() if hit else None


RANDOM_KINDS: dict[str, Callable[[], Fault]] = {
    "too_many_requests": too_many_requests,
    "server_error": lambda: Fault(status=500, body=error_body("INTERNAL_ERROR")),
    "html": html_error,
    "reset": lambda: Fault(kind="reset"),
    "lost": lambda: Fault(kind="lost"),
    "truncate": lambda: Fault(kind="truncate"),
    "corrupt": lambda: Fault(kind="corrupt"),
    "delay": lambda: Fault(kind="delay", seconds=0.02),
    # Few clients survive these for long, so they must be named.
    "invalid_token": invalid_token,
    "empty": lambda: Fault(status=200),
    "html_200": lambda: html_error(200),
}
_USUAL_KINDS = tuple(RANDOM_KINDS)[:8]


class Faults:
    """The faults to inject."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._random: list[RandomFaults] = []

    def add(self, *faults: Fault | RandomFaults) -> None:
        """Inject these faults from now on."""
        with self._lock:
            self._faults += [fault for fault in faults if isinstance(fault, Fault)]
            self._random += [fault for fault in faults if isinstance(fault, RandomFaults)]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
            self._random.clear()

    def for_request(self, request: LoggedRequest) -> list[Fault]:
        """Return the faults of a request: delays, and a maximum of one other."""
        with self._lock:
            struck: list[Fault] = []
            for fault in self._faults:
                settled = any(each.kind != "delay" for each in struck)
                if fault.is_for_jobs or (settled and fault.kind != "delay"):
                    continue
                if fault.strikes(request.method, request.path):
                    struck.append(fault)
            if not struck:
                drawn = (each.strike(request.method, request.path) for each in self._random)
                struck += [fault for fault in drawn if fault][:1]
            return struck

    def for_job(self, path: str, module: str) -> dict[str, Fault]:
        """Return the faults of the job that a request to this path creates, by kind."""
        with self._lock:
            return {
                fault.kind: fault
                for fault in self._faults
                if fault.is_for_jobs and fault.strikes("POST", path, module)
            }
