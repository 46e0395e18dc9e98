"""HTTP transport: one session, retries of transient errors, bounded response bodies.

Invariant: every request has a deadline, no redirect is followed, every certificate is verified, and
no body is read past its limit.
"""

from __future__ import annotations

import email.utils
import json
import logging
import threading
import traceback
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import backoff
import requests
import urllib3

from tap_zoho_bulk.api.deadline import DeadlineAdapter
from tap_zoho_bulk.exceptions import (
    StoppedError,
    UnexpectedResponseError,
    UnreachableError,
    ZohoUnavailableError,
)
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

CHUNK_BYTES = 1 << 16
MAX_WAIT_SECONDS = 60.0
"""Before a retry, unless the server asks for more."""
MAX_RETRY_AFTER_SECONDS = 600.0
"""That a server may ask for."""

logger = logging.getLogger("tap-zoho-bulk.http")


class TransientError(Exception):
    """An attempt failed, and another may succeed: `Transport.attempt` retries.

    Args:
        reason: What happened, in words, without secrets.
        retry_after: Seconds that the server asks to wait, or None.
        not_processed: Whether the server certainly did not process the request.
        unexpected: Whether the response is complete, but lacks the requested data.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        not_processed: bool = False,
        unexpected: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.not_processed = not_processed
        self.unexpected = unexpected


class Transport:
    """One HTTP session for all threads.

    Args:
        timeout: Seconds for a request, from connecting to the last byte of its response; for a
            download's body, seconds to wait for more of it.
        max_retries: Retries after a first attempt.
        max_concurrent_requests: Requests in flight at once.
    """

    def __init__(self, *, timeout: float, max_retries: int, max_concurrent_requests: int) -> None:
        self.stop = threading.Event()
        self._timeout = timeout
        self._max_tries = max_retries + 1
        self._slots = threading.BoundedSemaphore(max_concurrent_requests)
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"tap-zoho-bulk/{version('tap-zoho-bulk')}"
        self._adapter = DeadlineAdapter(pool_maxsize=max_concurrent_requests)
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)

    def attempt(self, what: str, once: Callable[[], T]) -> T:
        """Run `once`, and retry it after transient errors.

        The wait before a retry is what the server asks for, or else has full jitter.

        Args:
            what: The request in words, such as "list the modules".
            once: One attempt; it raises TransientError if another may succeed.

        Raises:
            StoppedError: When the run is shutting down.
            ZohoUnavailableError: When the last attempt has failed.
        """
        waits = backoff.expo(max_value=MAX_WAIT_SECONDS)
        next(waits)  # The first value starts the generator, and is not a wait.
        tries = 0
        while True:
            tries += 1
            try:
                return _forgetful(once)
            except TransientError as error:
                if self.stop.is_set():
                    raise StoppedError from error
                wait = error.retry_after
                seconds = backoff.full_jitter(next(waits)) if wait is None else wait
                if seconds > MAX_RETRY_AFTER_SECONDS:
                    logger.warning(
                        "Zoho asks to wait %.0f s before another attempt to %s, which is longer "
                        "than a run waits.",
                        seconds,
                        what,
                        extra=event("wait_refused", seconds=round(seconds, 3)),
                    )
                    raise ZohoUnavailableError(
                        f"Could not {what}: {error}, and Zoho asks to wait {seconds:.0f} s. A "
                        "later run resumes here."
                    ) from error
                if tries == self._max_tries:
                    kind = UnexpectedResponseError if error.unexpected else ZohoUnavailableError
                    raise kind(
                        f"Could not {what} in {tries} attempts: {error}. If Zoho's status page "
                        "shows no incident, check the network and the settings "
                        "`request_timeout_seconds` and `max_retries`; a later run resumes "
                        "here."
                    ) from error
                logger.warning(
                    "Could not %s: %s. Attempt %d of %d; retrying in %.1f s.",
                    what,
                    error,
                    tries,
                    self._max_tries,
                    seconds,
                    extra=event("request_repeated", attempt=tries, seconds=round(seconds, 3)),
                )
            if self.stop.wait(seconds):
                raise StoppedError

    @contextmanager
    def send(self, request: requests.Request) -> Iterator[requests.Response]:
        """Send a request; the body is still to be read, by `read_text` or `chunks`.

        Args:
            request: With a URL without secrets.

        Raises:
            StoppedError: When the run is shutting down.
            TransientError: When the connection fails, or the response does not come in time.
            UnreachableError: When the request can never succeed.
        """
        origin = _origin(request.url)
        with self._slots:
            if self.stop.is_set():
                raise StoppedError
            self._adapter.set_deadline(self._timeout)
            try:
                with self._session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    params=request.params,
                    data=request.data,
                    json=request.json,
                    auth=_keep_authorization,
                    timeout=(self._timeout, self._timeout),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    yield response
            except (
                requests.ConnectionError,
                requests.Timeout,
                urllib3.exceptions.HTTPError,
            ) as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise UnreachableError(
                        f"The certificate of {origin} is not trusted, so nothing was sent. "
                        "Check the host; behind a proxy that re-encrypts, set REQUESTS_CA_BUNDLE "
                        "to the path of its certificate."
                    ) from error
                raise TransientError(_reason(error)) from error
            except requests.RequestException as error:
                raise UnreachableError(
                    f"Cannot send requests to {origin} ({type(error).__name__}). Check "
                    "the settings `accounts_url` and `api_url`, and the proxy in the environment."
                ) from error

    def chunks(
        self,
        response: requests.Response,
        *,
        seconds: float | None = None,
        limit: int | None = None,
    ) -> Iterator[bytes]:
        """Yield a body, chunk by chunk, on the thread that sent the request.

        Args:
            response: From `send`.
            seconds: For the body alone; by default what is left of the request's time.
            limit: Maximum bytes.

        Raises:
            TransientError: When the body ends early, takes too long or is too long.
        """
        if seconds is not None:
            self._adapter.set_deadline(seconds)
        received = 0
        while chunk := self._chunk(response, received):
            received += len(chunk)
            if limit is not None and received > limit:
                raise TransientError(f"the response is longer than {limit} bytes")
            yield chunk

    @staticmethod
    def _chunk(response: requests.Response, received: int) -> bytes:
        try:
            return response.raw.read1(CHUNK_BYTES, decode_content=True)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TransientError(
                f"the response was incomplete in time ({received} bytes)"
            ) from error

    def read_text(self, response: requests.Response, *, limit: int) -> bytes:
        """Return the body of a response other than a download.

        It is read to its end also when the run is shutting down: it may name a job that Zoho has
        created.

        Args:
            response: From `send`.
            limit: Maximum bytes.

        Raises:
            TransientError: When the body ends early, takes too long or is too long.
        """
        return b"".join(self.chunks(response, limit=limit))

    def close(self) -> None:
        """Close all connections, and make the next request of every thread raise StoppedError."""
        self.stop.set()
        self._session.close()


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        body: Of a response.

    Returns:
        The object; an empty one if the body is not an object. Unpaired surrogates, which JSON can
        escape and UTF-8 cannot encode, become question marks.
    """
    try:
        if b"\\ud" in body.lower():
            body = json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Parse a Retry-After header, which is seconds or a date.

    A date is read by the response's own Date, as the local clock may be wrong.

    Args:
        headers: Of a response.

    Returns:
        Seconds from now; None if the header is missing or invalid.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    instant = http_date(text)
    if instant is None:
        return None
    now = http_date(headers.get("Date", "")) or datetime.now(timezone.utc)
    return max(0.0, (instant - now).total_seconds())


def http_date(text: str) -> datetime | None:
    """Parse a date of a header.

    Args:
        text: The header's value.

    Returns:
        The instant; None if the text is not a date.
    """
    try:
        instant = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def _forgetful(once: Callable[[], T]) -> T:
    """Run `once`; an error that outlives it does not keep its variables, such as a response."""
    try:
        return once()
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        raise


def _keep_authorization(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request as it is; without this, `requests` replaces the token by a netrc entry."""
    return request


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _reason(error: Exception) -> str:
    """Return what happened to a connection, without the URL and the object that failed."""
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "no response in time"
    inner = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)
    return f"the connection failed ({type(inner).__name__})"
