"""Zoho CRM's API: authorised requests, its limits, and its errors as exceptions.

Knows nothing of Singer. Invariant: the access token goes to the API host and to the data center's
own host of downloads, and nowhere else, and never more than once does one request renew it.
"""

from __future__ import annotations

import json as jsonlib
import logging
import re
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from tap_zoho_bulk.api.auth import ACCOUNTS_HOSTS, ZohoAuthenticator
from tap_zoho_bulk.api.transport import (
    RateLimit,
    TransientError,
    Transport,
    json_object,
    retry_after_seconds,
)
from tap_zoho_bulk.exceptions import (
    CreditLimitReachedError,
    MissingScopeError,
    SignInError,
    ZohoRefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from tap_zoho_bulk.settings import Settings

T = TypeVar("T")

MAX_DOWNLOAD_BYTES = 4 << 30
"""Longest download. 200,000 records are some 100 MB as a ZIP; this keeps a disk from filling up."""
JOB_CREDITS = 50
"""API credits that Zoho takes for starting a bulk read job; most other requests cost 1."""

_HTTP_OK = 200
_HTTP_OK_BELOW = 300
_HTTP_REDIRECT_BELOW = 400
_HTTP_NO_CONTENT = 204
_HTTP_NOT_MODIFIED = 304
_HTTP_UNAUTHORIZED = 401
_HTTP_TIMEOUT = 408
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500

_TRANSIENT_CODES = {"TOO_MANY_REQUESTS", "INTERNAL_ERROR", "INTERNAL_SERVER_ERROR"}
_ADVICE = {
    "INVALID_HOST": "Set `data_center` to where the account lives.",
    "NO_PERMISSION": "Give the profile of the user who made the refresh token this permission.",
    "AUTHORIZATION_FAILED": (
        "Give the profile of the user who made the refresh token this permission."
    ),
}

_NO_ADVICE = "Look the code up in Zoho's documentation; the same request would end the same way."
_MAX_DETAILS = 1000

logger = logging.getLogger("tap-zoho-bulk.client")


@dataclass
class Spending:
    """What a run, or a part of it, has cost at Zoho.

    Args:
        stream: Name of the stream whose cost it is; None for the whole run's.
        credits: API credits.
        jobs: Bulk read jobs created.
        bytes: Bytes downloaded as results.
    """

    stream: str | None = None
    credits: int = 0
    jobs: int = 0
    bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, credits: int = 0, jobs: int = 0, bytes: int = 0) -> None:  # noqa: A002
        """Count something more, from any thread."""
        with self._lock:
            self.credits += credits
            self.jobs += jobs
            self.bytes += bytes


class _TokenRejectedError(Exception):
    """The API host does not accept the access token."""


class ZohoClient:
    """Zoho CRM's API for all threads of a run.

    Args:
        settings: The run's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self.spending = Spending()
        self._settings = settings
        self._transport = Transport(
            timeout=settings.request_timeout_seconds,
            max_retries=settings.max_retries,
            max_concurrent_requests=settings.max_concurrent_requests,
        )
        self._authenticator = ZohoAuthenticator(settings, self._transport)
        self._downloads = RateLimit(settings.downloads_per_minute, 60.0, "downloads")
        self._job_lock = threading.Lock()

    @property
    def stop(self) -> threading.Event:
        """Set when the run is ending: every wait and every request then ends with StoppedError."""
        return self._transport.stop

    def redact(self, text: str) -> str:
        """Take the account's secrets out of a text that Zoho sent.

        Args:
            text: Such as a message.
        """
        return self._authenticator.redact(text)

    def close(self) -> None:
        """End all requests and waits."""
        self._transport.close()

    def get(  # noqa: PLR0913
        self,
        path: str,
        *,
        what: str,
        scope: str,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        spending: Spending | None = None,
        credits: int = 1,  # noqa: A002
        expects: str | None = None,
    ) -> dict[str, Any] | None:
        """Ask for a JSON object.

        Args:
            path: On the API host, such as `/crm/v8/org`.
            what: The request in words, such as "list the modules"; for messages.
            scope: The OAuth scope that it needs; for messages.
            params: Query of the URL.
            headers: Further headers.
            spending: Counts its cost too, besides the run's own.
            credits: API credits that it costs.
            expects: Name of a list that the object must hold; else the answer is a fault.

        Returns:
            The object, or None for an answer without content (HTTP 204 and 304).

        Raises:
            MissingScopeError: When the refresh token lacks the scope.
            SignInError: When Zoho gives no access token, or does not accept the one it gave.
            StoppedError: When the run is ending.
            ZohoRefusedError: When Zoho refuses the request.
            ZohoUnavailableError: When it keeps failing.
        """

        def send(headers: Mapping[str, str], api_url: str) -> dict[str, Any] | None:
            with self._transport.send(
                "GET", api_url + path, headers=headers, params=params
            ) as response:
                self._spend(spending, credits=credits)
                answer = self._json(response, what, scope)
            if answer is not None and expects and not isinstance(answer.get(expects), list):
                raise TransientError(f"the answer has no list of `{expects}`", odd=True)
            return answer

        return self._authorised(what, send, headers or {})

    def create_job(
        self, path: str, body: dict[str, Any], *, what: str, scope: str, spending: Spending
    ) -> dict[str, Any]:
        """Start a job, which costs 50 API credits, if `api_credit_limit` allows.

        Args:
            path: On the API host, such as `/crm/bulk/v8/read`.
            body: The JSON body.
            what: The request in words; for messages.
            scope: The OAuth scope that it needs; for messages.
            spending: Counts its cost too, besides the run's own.

        Raises:
            CreditLimitReachedError: When the job would take the run past the limit.
            MissingScopeError: When the refresh token lacks the scope.
            SignInError: When Zoho gives no access token, or does not accept the one it gave.
            StoppedError: When the run is ending.
            ZohoRefusedError: When Zoho refuses the job.
            ZohoUnavailableError: When it keeps failing.
        """

        def send(headers: Mapping[str, str], api_url: str) -> dict[str, Any]:
            self._reserve_job(spending)
            try:
                with self._transport.send(
                    "POST", api_url + path, headers=headers, json=body
                ) as response:
                    answer = self._json(response, what, scope)
            except TransientError as error:
                if error.undone:
                    self._release_job(spending)
                raise  # Else Zoho may have made the job, and taken its credits.
            except (ZohoRefusedError, _TokenRejectedError):
                self._release_job(spending)
                raise
            if answer is None:
                raise TransientError("the answer is empty")
            return answer

        return self._authorised(what, send, {})

    def _reserve_job(self, spending: Spending) -> None:
        """Count a job before it is made, so that threads together keep to the limit."""
        limit = self._settings.api_credit_limit
        with self._job_lock:
            if limit is not None and self.spending.credits + JOB_CREDITS > limit:
                raise CreditLimitReachedError(
                    f"{self.spending.credits} API credits are spent, and a job costs "
                    f"{JOB_CREDITS}: `api_credit_limit` is {limit}."
                )
            self._spend(spending, credits=JOB_CREDITS, jobs=1)

    def _release_job(self, spending: Spending) -> None:
        """Count a job no more that was not made."""
        self._spend(spending, credits=-JOB_CREDITS, jobs=-1)

    def download(  # noqa: PLR0913
        self,
        url: str,
        file: IO[bytes],
        *,
        what: str,
        scope: str,
        spending: Spending,
        received: Callable[[int, int | None], object] = lambda *_: None,
    ) -> int:
        """Download a result into a file, from its start, within Zoho's downloads a minute.

        Args:
            url: Zoho's `download_url`, a path or absolute. Only its path and query are used, on
                the API host or the data center's own host of downloads, so that the token goes
                nowhere else.
            file: Open for reading and writing; what it held is replaced.
            what: The request in words; for messages.
            scope: The OAuth scope that it needs; for messages.
            spending: Counts its cost too, besides the run's own.
            received: Called with the bytes so far, from 0 on, and those of the whole if known.

        Returns:
            Bytes downloaded.

        Raises:
            MissingScopeError: When the refresh token lacks the scope.
            SignInError: When Zoho gives no access token, or does not accept the one it gave.
            StoppedError: When the run is ending.
            ZohoRefusedError: When Zoho refuses the download.
            ZohoUnavailableError: When it keeps failing.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ZohoRefusedError(
                what, status=_HTTP_OK, code="INVALID_DOWNLOAD_URL", advice=_NO_ADVICE
            ) from error
        path = f"/{parts.path.lstrip('/')}" + (f"?{parts.query}" if parts.query else "")
        own_host = download_host(url, self._settings)

        def send(headers: Mapping[str, str], api_url: str) -> int:
            with ExitStack() as place:
                place.enter_context(self._downloads.place(self.stop))
                host = own_host or api_url
                with self._transport.send("GET", host + path, headers=headers) as response:
                    place.close()  # The answer is here; its body may take long.
                    self._spend(spending, credits=1)
                    size = self._save(response, file, what, scope, received)
            self._spend(spending, bytes=size)
            return size

        return self._authorised(what, send, {})

    def _save(
        self,
        response: requests.Response,
        file: IO[bytes],
        what: str,
        scope: str,
        received: Callable[[int, int | None], object],
    ) -> int:
        """Read an answer that should be a file into a file; its size."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if response.status_code >= _HTTP_OK_BELOW or kind == "application/json":
            self._json(response, what, scope)
            raise TransientError("the answer is no file")
        if kind.startswith("text/html"):
            raise TransientError("the answer is a web page, not a file")
        file.seek(0)
        file.truncate()
        deadline = time.monotonic() + self._settings.job_timeout_seconds
        length = response.headers.get("Content-Length", "")
        total = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
        size = 0
        received(size, total)
        for chunk in self._transport.chunks(response, deadline=deadline):
            size += file.write(chunk)
            received(size, total)
            if size > MAX_DOWNLOAD_BYTES:
                raise ZohoRefusedError(
                    what,
                    status=response.status_code,
                    code="TOO_LONG",
                    advice=f"A result of more than {MAX_DOWNLOAD_BYTES} bytes is not read.",
                )
        return size

    def _authorised(
        self,
        what: str,
        send: Callable[[Mapping[str, str], str], T],
        headers: Mapping[str, str],
    ) -> T:
        """Run `send` with a token; once more with a new one if Zoho does not accept it."""
        rejected = None
        for _ in range(2):
            token, api_url = self._authenticator.access(rejected=rejected)
            authorised = {**headers, "Authorization": f"Zoho-oauthtoken {token}"}
            try:
                return self._transport.attempt(what, lambda: send(authorised, api_url))  # noqa: B023
            except _TokenRejectedError:
                logger.info("Zoho does not accept the access token any more; renewing it.")
                rejected = token
        raise SignInError(
            f"Zoho gave a new access token but does not accept it, so the tap could not {what}. "
            f"Check that `data_center` and `environment` are the account's; the API host is "
            f"{api_url}."
        )

    def _json(self, response: requests.Response, what: str, scope: str) -> dict[str, Any] | None:
        """Read an answer that should be a JSON object, and raise what it says went wrong."""
        status = response.status_code
        if status in {_HTTP_NO_CONTENT, _HTTP_NOT_MODIFIED}:
            return None
        retry_after = retry_after_seconds(response.headers)
        answer = json_object(self._transport.read_text(response))
        problem = _problem(answer)
        code = self.redact(str(problem.get("code") or f"HTTP_{status}"))[:100]
        if (
            status in {_HTTP_TIMEOUT, _HTTP_TOO_MANY_REQUESTS}
            or status >= _HTTP_SERVER_ERROR
            or code in _TRANSIENT_CODES
        ):
            raise TransientError(
                f"{code} (HTTP {status})",
                retry_after=retry_after,
                undone=status < _HTTP_SERVER_ERROR and code != f"HTTP_{_HTTP_TIMEOUT}",
            )
        if status == _HTTP_UNAUTHORIZED and code == "OAUTH_SCOPE_MISMATCH":
            raise MissingScopeError(
                what,
                status=status,
                code=code,
                advice=f"Make a new refresh token whose scopes include {scope}.",
            )
        if status == _HTTP_UNAUTHORIZED:
            raise _TokenRejectedError
        if _HTTP_OK_BELOW <= status < _HTTP_REDIRECT_BELOW:
            raise ZohoRefusedError(
                what,
                status=status,
                code=code,
                advice="Redirects are not followed. Check `api_url` and the proxy, if one is set.",
            )
        if problem or status >= _HTTP_OK_BELOW:
            raise ZohoRefusedError(
                what,
                status=status,
                code=code,
                message=self.redact(str(problem.get("message") or ""))[:300],
                details=self._details(problem),
                advice=_ADVICE.get(code, _NO_ADVICE),
            )
        if not answer:
            raise TransientError(f"the answer is not a JSON object (HTTP {status})")
        return answer

    def _details(self, problem: dict[str, Any]) -> dict[str, Any]:
        """Give an error's details, if they are short, without secrets."""
        text = jsonlib.dumps(problem.get("details"))
        details = jsonlib.loads(self.redact(text)) if len(text) < _MAX_DETAILS else None
        return details if isinstance(details, dict) else {}

    def _spend(
        self,
        spending: Spending | None,
        *,
        credits: int = 0,  # noqa: A002
        jobs: int = 0,
        bytes: int = 0,  # noqa: A002
    ) -> None:
        for counted in (self.spending, spending):
            if counted is not None:
                counted.add(credits=credits, jobs=jobs, bytes=bytes)


def download_host(url: str, settings: Settings) -> str | None:
    """Give Zoho's own host of downloads, if that is where a result is.

    Args:
        url: Zoho's `download_url`. Those of bulk write are on `download-accl`.
        settings: The run's settings.

    Returns:
        The host's URL; None where the result is to be had from the API host.
    """
    domain = ACCOUNTS_HOSTS[settings.data_center].removeprefix("accounts.")
    host = f"https://download-accl.{domain}"
    return host if settings.api_url is None and url.startswith(f"{host}/") else None


def _problem(answer: dict[str, Any]) -> dict[str, Any]:
    """Give Zoho's error object, which stands at the top or as the first of `data`; {} if none."""
    data = answer.get("data")
    first = data[0] if isinstance(data, list) and data else None
    for candidate in (answer, first):
        if isinstance(candidate, dict) and (
            candidate.get("status") == "error"
            or ("code" in candidate and "message" in candidate and "status" not in candidate)
        ):
            return candidate
    return {}
