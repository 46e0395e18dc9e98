"""Who may call what: host and version of the URL, token, scopes, and what a call costs."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from local_zoho_crm.errors import ZohoError

if TYPE_CHECKING:
    from starlette.requests import Request

    from local_zoho_crm.oauth import Grant, TokenDesk

_VERSION = re.compile(r"v([2-8])")


class Access:
    """Admits requests and counts their API credits."""

    def __init__(self, desk: TokenDesk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self.credits = 0

    def admit(self, request: Request, *scopes: str, credits_: int = 1) -> Grant:
        """Let a request in that has a token with all of these scopes.

        Raises:
            ZohoError: The request may not pass.
        """
        self.version(request)
        grant = self._desk.check(request.headers.get("Authorization"), *scopes)
        self.charge(credits_)
        return grant

    def check(self, authorization: str | None, scope: str) -> None:
        """Make sure of one more scope, which only the request's body told of.

        Raises:
            ZohoError: It is not granted.
        """
        self._desk.check(authorization, scope)

    def charge(self, credits_: int) -> None:
        """Count credits."""
        with self._lock:
            self.credits += credits_

    @staticmethod
    def version(request: Request) -> int:
        """The version in the URL: 2 to 8.

        Raises:
            ZohoError: There is no such version.
        """
        match = _VERSION.fullmatch(request.path_params["version"])
        if match is None:
            raise ZohoError("INVALID_URL_PATTERN")
        return int(match[1])
