"""A transport without a network: a function returns the responses."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from tap_zoho_bulk.api.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FakeTransport(Transport):
    """A transport that sends nothing.

    Args:
        respond: Returns the response to a request.
    """

    def __init__(self, respond: Callable[[requests.Request], requests.Response]) -> None:
        super().__init__(timeout=1, max_retries=0, max_concurrent_requests=1)
        self._respond = respond

    @contextmanager
    def send(self, request: requests.Request) -> Iterator[requests.Response]:
        """Yield the response to a request."""
        yield self._respond(request)


def response(body: bytes, status: int = 200, **headers: str) -> requests.Response:
    """Return a response whose body is still to be read."""
    made = requests.Response()
    made.status_code = status
    made.headers = CaseInsensitiveDict(headers)
    made.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
    return made
