"""Sign-in: codes, refresh tokens, access tokens, scopes and their limits."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from local_zoho_crm.errors import ZohoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from local_zoho_crm.organisation import Organisation

DEFAULT_SCOPES = frozenset(
    {
        "ZohoCRM.bulk.READ",
        "ZohoCRM.modules.ALL",
        "ZohoCRM.settings.modules.READ",
        "ZohoCRM.settings.fields.READ",
        "ZohoCRM.settings.custom_views.READ",
        "ZohoCRM.settings.roles.READ",
        "ZohoCRM.settings.profiles.READ",
        "ZohoCRM.users.READ",
        "ZohoCRM.org.READ",
        "ZohoCRM.settings.currencies.READ",
        "ZohoCRM.settings.territories.READ",
        "ZohoCRM.settings.pipeline.READ",
        "ZohoCRM.settings.layouts.READ",
        "ZohoSearch.securesearch.READ",
    }
)

_ACCESS_LIFE = timedelta(seconds=3600)
_SELF_CLIENT_CODE_LIFE = timedelta(minutes=3)
_REDIRECTED_CODE_LIFE = timedelta(minutes=2)
_REQUEST_WINDOW = timedelta(minutes=10)
_MAX_ACCESS_TOKENS = 10
_MAX_REFRESH_TOKENS = 20
_TOO_MANY = {
    "error_description": "You have made too many requests continuously. "
    "Please try again after some time.",
    "error": "Access Denied",
    "status": "failure",
}


@dataclass
class Grant:
    """The scopes that a user granted to the client."""

    user_id: str
    scopes: frozenset[str]
    alive: deque[str] = field(default_factory=deque)
    requests: deque[datetime] = field(default_factory=deque)


@dataclass(frozen=True)
class _Code:
    """A code that can be exchanged once."""

    grant: Grant
    expiry: datetime
    redirect_uri: str | None = None
    offline: bool = True


class _BadGrantError(Exception):
    """A token request without a valid grant."""


class TokenDesk:
    """Issues tokens and validates the token of a request."""

    def __init__(
        self,
        organisation: Organisation,
        *,
        requests_per_ten_minutes: int | None,
        scopes: Iterable[str] | None = None,
        tell_scopes: bool = True,
    ) -> None:
        self.client_id = f"1000.CLIENT{organisation.seed}"
        self.client_secret = f"client-secret-{organisation.seed}-5f1e7c"
        self._organisation = organisation
        self._limit = requests_per_ten_minutes
        self._tell_scopes = tell_scopes
        self._lock = threading.Lock()
        self._serial = count(1)
        self._grants: dict[str, Grant] = {}
        self._codes: dict[str, _Code] = {}
        self._given_codes: list[str] = []
        self._access: dict[str, tuple[Grant, datetime]] = {}
        self._issued: list[str] = []
        self._refresh_tokens: list[str] = []
        self._own = Grant("", frozenset())
        self._allowed = None if scopes is None else frozenset(scopes)
        self.refresh_token = self.grant(scopes=scopes)

    @property
    def secrets(self) -> list[str]:
        """Return all secrets issued so far."""
        with self._lock:
            return [
                self.client_secret,
                *self._refresh_tokens,
                *self._given_codes,
                *self._issued,
            ]

    def grant(self, *, user_id: str | None = None, scopes: Iterable[str] | None = None) -> str:
        """Grant scopes for a user, and return the refresh token."""
        with self._lock:
            return self._refresh_token(self._new_grant(user_id, scopes))

    def authorization_code(self, *, scopes: Iterable[str] | None = None) -> str:
        """Return a new code as the API console generates it for a self client."""
        with self._lock:
            expiry = self._organisation.now() + _SELF_CLIENT_CODE_LIFE
            return self._new_code(_Code(self._new_grant(None, scopes), expiry))

    def redirected_code(self, scopes: Iterable[str], redirect_uri: str, *, offline: bool) -> str:
        """Return a new code as the consent page sends it to a redirect URI."""
        with self._lock:
            expiry = self._organisation.now() + _REDIRECTED_CODE_LIFE
            grant = self._new_grant(None, scopes)
            return self._new_code(_Code(grant, expiry, redirect_uri, offline))

    def forget_access_tokens(self) -> None:
        """Invalidate all access tokens."""
        with self._lock:
            self._access.clear()
            for grant in self._grants.values():
                grant.alive.clear()

    def respond(self, form: Mapping[str, str], *, api_domain: str) -> JSONResponse:
        """Return the response to a token request."""
        with self._lock:
            client = (form.get("client_id"), form.get("client_secret"))
            if client != (self.client_id, self.client_secret):
                return JSONResponse({"error": "invalid_client"})
            try:
                grant, extra = self._granted(form)
            except _BadGrantError as error:
                return JSONResponse({"error": str(error)})
            if self._too_many(grant):
                return JSONResponse(_TOO_MANY, 400)
            return JSONResponse(
                {"access_token": self._access_token(grant)}
                | extra
                | ({"scope": " ".join(sorted(grant.scopes))} if self._tell_scopes else {})
                | {
                    "api_domain": api_domain,
                    "token_type": "Bearer",
                    "expires_in": int(_ACCESS_LIFE.total_seconds()),
                }
            )

    def _granted(self, form: Mapping[str, str]) -> tuple[Grant, dict[str, str]]:
        """Return the grant of a form, and what the response has besides the access token."""
        match form.get("grant_type"):
            case "refresh_token":
                grant = self._grants.get(form.get("refresh_token", ""))
                if grant is None:
                    raise _BadGrantError("invalid_code")
                return grant, {}
            case "authorization_code":
                code = self._codes.pop(form.get("code", ""), None)
                if code is None or code.expiry < self._organisation.now():
                    raise _BadGrantError("invalid_code")
                if code.redirect_uri not in (None, form.get("redirect_uri")):
                    raise _BadGrantError("invalid_redirect_uri")
                refresh = {"refresh_token": self._refresh_token(code.grant)} if code.offline else {}
                return code.grant, refresh
            case "client_credentials":
                if not form.get("soid"):
                    raise _BadGrantError("missing_org_info")
                if form["soid"] != f"ZohoCRM.{self._organisation.company['zgid']}":
                    raise _BadGrantError("invalid_soid")
                scopes = filter(None, form.get("scope", "").split(","))
                self._own.user_id = str(self._organisation.current_user["id"])
                self._own.scopes = frozenset(
                    scope
                    for scope in scopes
                    if self._allowed is None or covers(self._allowed, scope)
                )
                return self._own, {}
            case _:
                raise _BadGrantError("unsupported_grant_type")

    def check(self, authorization: str | None, *needed: str) -> Grant:
        """Return the grant of an Authorization header, which must cover all of these scopes.

        Raises:
            ZohoError: The token is missing, invalid or expired, or lacks a scope.
        """
        if not authorization:
            raise ZohoError("AUTHENTICATION_FAILURE")
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            grant, expiry = self._access.get(token, (None, None))
        if scheme != "Zoho-oauthtoken" or grant is None or expiry is None:
            raise ZohoError("INVALID_TOKEN")
        if expiry <= self._organisation.now():
            raise ZohoError("INVALID_TOKEN")
        for scope in needed:
            if not covers(grant.scopes, scope):
                raise ZohoError("OAUTH_SCOPE_MISMATCH")
        return grant

    def _new_grant(self, user_id: str | None, scopes: Iterable[str] | None) -> Grant:
        user = user_id or str(self._organisation.current_user["id"])
        return Grant(user, DEFAULT_SCOPES if scopes is None else frozenset(scopes))

    def _new_code(self, what: _Code) -> str:
        code = f"1000.code-{next(self._serial):04d}-9b8c"
        self._codes[code] = what
        self._given_codes.append(code)
        return code

    def _refresh_token(self, grant: Grant) -> str:
        token = f"1000.refresh-{next(self._serial):04d}-7d3a"
        self._grants[token] = grant
        self._refresh_tokens.append(token)
        of_user = [each for each, other in self._grants.items() if other.user_id == grant.user_id]
        for oldest in of_user[:-_MAX_REFRESH_TOKENS]:
            del self._grants[oldest]
        return token

    def _access_token(self, grant: Grant) -> str:
        token = f"1000.access-{next(self._serial):04d}-c0ffee"
        self._access[token] = (grant, self._organisation.now() + _ACCESS_LIFE)
        self._issued.append(token)
        grant.alive.append(token)
        while len(grant.alive) > _MAX_ACCESS_TOKENS:
            self._access.pop(grant.alive.popleft(), None)
        return token

    def _too_many(self, grant: Grant) -> bool:
        now = self._organisation.now()
        while grant.requests and grant.requests[0] <= now - _REQUEST_WINDOW:
            grant.requests.popleft()
        if self._limit is not None and len(grant.requests) >= self._limit:
            return True
        grant.requests.append(now)
        return False


def covers(scopes: Iterable[str], needed: str) -> bool:
    """Return whether scopes such as ZohoCRM.modules.ALL cover ZohoCRM.modules.leads.READ."""
    held = {scope.lower() for scope in scopes}
    *groups, operation = needed.lower().split(".")
    return any(
        f"{'.'.join(groups[:length])}.{each}" in held
        for length in range(2, len(groups) + 1)
        for each in (operation, "all")
    )
