"""Access to the API: version in the URL, token, scopes, and the cost of a call."""

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
    """Authorizes requests and counts their API credits."""

    def __init__(self, desk: TokenDesk, daily_credits: int | None = None) -> None:
        self._desk = desk
        self._daily_credits = daily_credits
        self._lock = threading.Lock()
        self.credits = 0

    def credits_left(self) -> int | None:
        """Return the API credits that are left; None while less than half of them are used."""
        if self._daily_credits is None or 2 * self.credits < self._daily_credits:
            return None
        return max(self._daily_credits - self.credits, 0)

    def admit(self, request: Request, *scopes: str, credits_: int = 1) -> Grant:
        """Return the grant of a request whose token has all of these scopes.

        Raises:
            ZohoError: The request is not authorized.
        """
        self.version(request)
        grant = self._desk.check(request.headers.get("Authorization"), *scopes)
        self.charge(credits_)
        return grant

    def check(self, authorization: str | None, scope: str) -> None:
        """Check one more scope, which depends on the request's body.

        Raises:
            ZohoError: The scope is not granted.
        """
        self._desk.check(authorization, scope)

    def afford(self, credits_: int) -> None:
        """Check that API credits are left.

        Raises:
            ZohoError: Too few are left.
        """
        if self._daily_credits is not None and self.credits + credits_ > self._daily_credits:
            raise ZohoError("TOO_MANY_REQUESTS")

    def charge(self, credits_: int) -> None:
        """Add API credits to the count.

        Raises:
            ZohoError: Too few are left.
        """
        with self._lock:
            self.afford(credits_)
            self.credits += credits_

    @staticmethod
    def version(request: Request) -> int:
        """Return the version in the URL: 2 to 8.

        Raises:
            ZohoError: This version does not exist.
        """
        match = _VERSION.fullmatch(request.path_params["version"])
        if match is None:
            raise ZohoError("INVALID_URL_PATTERN")
        return int(match[1])
