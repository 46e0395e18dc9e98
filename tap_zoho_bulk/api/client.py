"""Zoho CRM's API: authorised requests, its limits, and its errors as exceptions.

Knows nothing of Singer. Invariant: the access token goes to the API host and to the data center's
own host of downloads, and nowhere else, and each request renews it up to three times.
"""

from __future__ import annotations

import logging
import re
from contextlib import ExitStack, contextmanager
from functools import partial
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from requests import Request

from tap_zoho_bulk.api.account_headers import AccountHeaders
from tap_zoho_bulk.api.auth import ZohoAuthenticator
from tap_zoho_bulk.api.credits import CreditBudget
from tap_zoho_bulk.api.error_responses import NO_ADVICE, TokenRejectedError, raise_for_problem
from tap_zoho_bulk.api.rate_limit import RateLimit
from tap_zoho_bulk.api.transport import TransientError, Transport, json_object
from tap_zoho_bulk.crm.data_centers import DATA_CENTERS
from tap_zoho_bulk.exceptions import Problem, SignInError, StoppedError, ZohoRefusedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    import requests

    from tap_zoho_bulk.api.request import ApiRequest
    from tap_zoho_bulk.reporting.spending import Spending
    from tap_zoho_bulk.settings import Settings

    OnResponse = Callable[[ApiRequest, int, Mapping[str, str], dict[str, Any]], object]

T = TypeVar("T")

MAX_DOWNLOAD_BYTES = 4 << 30
"""200,000 records are about 100 MB as a ZIP; this keeps a disk from filling up."""
RENEWAL_PAUSES_SECONDS: tuple[float, ...] = (0.0, 2.0, 10.0)
"""Before each renewal of an access token for one request. A new one may be refused, too, because
another program has obtained so many that Zoho dropped it, or because hosts do not know it yet."""

logger = logging.getLogger("tap-zoho-bulk.client")


class ZohoClient:
    """Zoho CRM's API for all threads of a run.

    Args:
        settings: The run's settings.
        transport: Sends the requests; by default created from the settings.
    """

    def __init__(self, settings: Settings, *, transport: Transport | None = None) -> None:
        self._settings = settings
        self._transport = transport or Transport(
            timeout=settings.request_timeout_seconds,
            max_retries=settings.max_retries,
            max_concurrent_requests=settings.max_concurrent_requests,
        )
        self._authenticator = ZohoAuthenticator(settings, self._transport)
        self._downloads = RateLimit(settings.downloads_per_minute, 60.0, "downloads")
        self.credits = CreditBudget(settings.api_credit_limit, self._transport.stop)
        self.account_headers = AccountHeaders()
        self.on_response: OnResponse | None = None
        """Called with each response, on the thread that received it: with its request, status,
        headers and JSON object, which is empty if it has none."""

    @property
    def stop(self) -> threading.Event:
        """Set when the run shuts down: every wait and request then raises StoppedError."""
        return self._transport.stop

    @property
    def granted_scopes(self) -> str | None:
        """The scopes of the access token, as Zoho listed them; None if it has not."""
        return self._authenticator.granted_scopes

    def redact(self, text: str) -> str:
        """Remove the account's secrets from a text that Zoho sent.

        Args:
            text: Such as a message.
        """
        return self._authenticator.redact(text)

    def close(self) -> None:
        """Stop all requests and waits."""
        self._transport.close()

    def get(
        self, request: ApiRequest, *, spending: Spending | None = None
    ) -> dict[str, Any] | None:
        """Request a JSON object.

        Args:
            request: What to request.
            spending: Also counts its cost, besides the run's own.

        Returns:
            The object, or None for a response without content (HTTP 204 and 304).

        Raises:
            MissingScopeError: When the token lacks the scope.
            SignInError: When Zoho issues no access token, or does not accept the one it issued.
            StoppedError: When the run is shutting down.
            ZohoRefusedError: When Zoho refuses the request.
            ZohoUnavailableError: When it keeps failing.
        """

        def send(headers: Mapping[str, str], api_url: str) -> dict[str, Any] | None:
            url = api_url + request.path
            with self._charged(
                Request("GET", url, headers=headers, params=request.params),
                request.credits,
                spending,
            ) as response:
                body = self._json(response, request)
            expects = request.expects
            if body is not None and expects and not isinstance(body.get(expects), list):
                raise TransientError(f"the response has no list of `{expects}`", unexpected=True)
            return body

        return self._authorised(request, send)

    def create_job(
        self, request: ApiRequest, body: dict[str, Any], *, spending: Spending
    ) -> dict[str, Any]:
        """Create a job, which costs 50 API credits, if `api_credit_limit` allows.

        Args:
            request: Where jobs are created.
            body: The JSON body.
            spending: Also counts its cost, besides the run's own.

        Raises:
            CreditLimitReachedError: When the job would take the run past the limit.
            MissingScopeError: When the token lacks the scope.
            SignInError: When Zoho issues no access token, or does not accept the one it issued.
            StoppedError: When the run is shutting down.
            ZohoRefusedError: When Zoho refuses the job.
            ZohoUnavailableError: When it keeps failing.
        """

        def send(headers: Mapping[str, str], api_url: str) -> dict[str, Any]:
            self.credits.charge_job(spending)
            try:
                with self._send(
                    Request("POST", api_url + request.path, headers=headers, json=body)
                ) as response:
                    created = self._json(response, request)
            except TransientError as error:
                if error.not_processed:
                    self.credits.refund_job(spending)
                raise  # Otherwise Zoho may have created the job, and charged for it.
            except (ZohoRefusedError, TokenRejectedError, StoppedError):
                self.credits.refund_job(spending)
                raise
            if created is None:
                raise TransientError("the response is empty")
            return created

        return self._authorised(request, send)

    def download(
        self,
        request: ApiRequest,
        file: IO[bytes],
        *,
        spending: Spending,
        received: Callable[[int, int | None], object] = lambda *_: None,
    ) -> int:
        """Download a result into a file, from its start, within Zoho's downloads a minute.

        Args:
            request: Its path is Zoho's `download_url`, a path or absolute. Only its path and query
                are used, on the API host or the data center's own host of downloads, so that the
                token goes nowhere else.
            file: Open for reading and writing; what it held is replaced.
            spending: Also counts its cost, besides the run's own.
            received: Called with the bytes so far, from 0 on, and the total if known.

        Returns:
            Bytes downloaded.

        Raises:
            MissingScopeError: When the token lacks the scope.
            SignInError: When Zoho issues no access token, or does not accept the one it issued.
            StoppedError: When the run is shutting down.
            ZohoRefusedError: When Zoho refuses the download.
            ZohoUnavailableError: When it keeps failing.
        """
        try:
            parts = urlsplit(request.path)
        except ValueError as error:
            raise ZohoRefusedError(
                request.what, Problem(HTTPStatus.OK, "INVALID_DOWNLOAD_URL"), advice=NO_ADVICE
            ) from error
        path = f"/{parts.path.lstrip('/')}" + (f"?{parts.query}" if parts.query else "")
        own_host = download_host(request.path, self._settings)

        def send(headers: Mapping[str, str], api_url: str) -> int:
            with ExitStack() as slot:
                slot.enter_context(self._downloads.slot(self.stop, request.what, request.about))
                host = own_host or api_url
                file_request = Request("GET", host + path, headers=headers)
                with self._charged(file_request, request.credits, spending) as response:
                    slot.close()  # The response is here; its body may take long.
                    size = self._save(response, file, request, received)
            for counted in (self.credits.spending, spending):
                counted.add(bytes=size)
            return size

        return self._authorised(request, send)

    def _save(
        self,
        response: requests.Response,
        file: IO[bytes],
        request: ApiRequest,
        received: Callable[[int, int | None], object],
    ) -> int:
        """Read a response that should be a file into a file; return its size."""
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES or kind == "application/json":
            self._json(response, request)
            raise TransientError("the response is not a file")
        if kind.startswith("text/html"):
            raise TransientError("the response is a web page, not a file")
        self._seen(request, response)
        file.seek(0)
        file.truncate()
        seconds = self._settings.job_timeout_seconds
        length = response.headers.get("Content-Length", "")
        total = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
        size = 0
        received(size, total)
        for chunk in self._transport.chunks(response, seconds=seconds):
            if self.stop.is_set():
                raise StoppedError
            size += file.write(chunk)
            received(size, total)
            if size > MAX_DOWNLOAD_BYTES:
                raise ZohoRefusedError(
                    request.what,
                    Problem(response.status_code, "TOO_LONG"),
                    advice=f"The tap reads results of up to {MAX_DOWNLOAD_BYTES} bytes.",
                )
        return size

    def _authorised(self, request: ApiRequest, send: Callable[[Mapping[str, str], str], T]) -> T:
        """Run `send` with a token, and again with new ones if Zoho does not accept it."""
        rejected = None
        for pause in (*RENEWAL_PAUSES_SECONDS, None):
            token, api_url = self._authenticator.access(rejected=rejected)
            headers = {**(request.headers or {}), "Authorization": f"Zoho-oauthtoken {token}"}
            try:
                return self._transport.attempt(request.what, partial(send, headers, api_url))
            except TokenRejectedError:
                rejected = token
            if pause is not None:
                logger.info(
                    "Zoho no longer accepts the access token; renewing it in %.0f s.", pause
                )
                if self.stop.wait(pause):
                    raise StoppedError
        raise SignInError(
            f"Zoho issued {len(RENEWAL_PAUSES_SECONDS)} new access tokens but does not accept "
            f"them, so the tap could not {request.what}. Check that `data_center` and "
            f"`environment` are the account's; the API host is {api_url}. Check also whether "
            "another program keeps requesting access tokens with the same refresh token or client: "
            "Zoho drops the oldest ones."
        )

    def _json(self, response: requests.Response, request: ApiRequest) -> dict[str, Any] | None:
        """Read a response that should be a JSON object; None if it has no content."""
        status = response.status_code
        if status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            self._seen(request, response)
            return None
        body = json_object(self._transport.read_text(response, limit=request.max_bytes))
        self._seen(request, response, body)
        raise_for_problem(
            request, status, response.headers, body, self.redact, soid=self._settings.soid
        )
        if not body:
            raise TransientError(f"the response is not a JSON object (HTTP {status})")
        return body

    def _seen(
        self, request: ApiRequest, response: requests.Response, body: dict[str, Any] | None = None
    ) -> None:
        if self.on_response is not None:
            self.on_response(request, response.status_code, response.headers, body or {})

    @contextmanager
    def _send(self, request: Request) -> Iterator[requests.Response]:
        with self._transport.send(request) as response:
            self.account_headers.note(response.headers)
            yield response

    @contextmanager
    def _charged(
        self,
        request: Request,
        credits: int,  # noqa: A002
        spending: Spending | None,
    ) -> Iterator[requests.Response]:
        """Send a request, and count its cost before; not if no response comes."""
        self.credits.charge(spending, credits)
        has_come = False
        try:
            with self._send(request) as response:
                has_come = True
                yield response
        finally:
            if not has_come:
                self.credits.refund(spending, credits)


def download_host(url: str, settings: Settings) -> str | None:
    """Return Zoho's own host of downloads, if that is where a result is.

    Args:
        url: Zoho's `download_url`. Those of bulk write are on `download-accl`.
        settings: The run's settings.

    Returns:
        The host's URL; None if the result is on the API host.
    """
    host = DATA_CENTERS[settings.data_center].downloads_url
    return host if settings.api_url is None and url.startswith(f"{host}/") else None
