"""Sign-in: token requests, and access tokens from a refresh token or client credentials.

Invariant: secrets are sent only in the body of a request to the accounts host. No thread uses a
token that is about to expire, and at most one renewal runs at a time.

Source: https://www.zoho.com/crm/developer/docs/api/v8/refresh.html
"""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from tap_zoho_bulk.api.error_responses import raise_if_transient
from tap_zoho_bulk.api.rate_limit import RateLimit
from tap_zoho_bulk.api.transport import TransientError, json_object
from tap_zoho_bulk.crm.data_centers import API_SUBDOMAINS, DATA_CENTERS
from tap_zoho_bulk.crm.scopes import BULK_WRITE_SCOPE, SCOPE_TEXT
from tap_zoho_bulk.exceptions import SignInError, TokenLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tap_zoho_bulk.api.transport import Transport
    from tap_zoho_bulk.settings import Settings

_RENEWAL_MARGIN_SECONDS = 300.0
_MAX_TOKEN_REQUESTS, _SPAN_SECONDS = 10, 600.0
"""Zoho's limit: 10 token requests in 10 minutes for a refresh token."""
_MAX_RESPONSE_BYTES = 1 << 16
_TOO_MANY = "Access Denied"
_PUBLIC = {"grant_type", "scope", "soid"}

CLIENT_ADVICE = {
    "invalid_client": (
        "This client does not exist in this data center. Check `client_id` and "
        "`data_center` against Zoho's API console."
    ),
    "invalid_client_secret": (
        "The client secret does not belong to this client. Copy `client_secret` again from "
        "Zoho's API console."
    ),
    _TOO_MANY: (
        "Too many access tokens were requested. Wait ten minutes, and check whether something "
        "else keeps using the same refresh token or client."
    ),
}
"""What to do about errors of any token request, by Zoho's code."""
_GENERAL_ADVICE = (
    "Check the client and `data_center`, and `soid` if it is set; otherwise sign in again."
)
_ADVICE = {
    **CLIENT_ADVICE,
    "invalid_code": (
        "The refresh token is wrong, was revoked, or belongs to another data center. Check "
        "`data_center`, and create a new refresh token for this client. Zoho keeps the latest 20 "
        "of a user and client, and may end them when the user's password changes."
    ),
    "missing_org_info": "Check `soid`, the ID of the organisation.",
}

logger = logging.getLogger("tap-zoho-bulk.auth")


@dataclass(frozen=True)
class _AccessToken:
    value: str
    api_url: str
    renew_at: float  # by the authenticator's clock


class ZohoAuthenticator:
    """Access tokens, and the API host that they are for, shared by all threads.

    Args:
        settings: The run's settings.
        transport: Sends the token requests.
        clock: Returns the time in seconds; it never goes back.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._accounts_url = accounts_url(settings.data_center, settings.accounts_url)
        self._limit = RateLimit(_MAX_TOKEN_REQUESTS, _SPAN_SECONDS, "access tokens", clock=clock)
        self._lock = threading.Lock()
        self._token: _AccessToken | None = None
        self.granted_scopes: str | None = None
        """The scopes of the latest access token, as Zoho listed them; None if it has not."""

    def access(self, *, rejected: str | None = None) -> tuple[str, str]:
        """Return a valid access token, renewed if that is due.

        Args:
            rejected: A token that Zoho refused. It is renewed, unless another thread did so.

        Returns:
            The token, and the URL of the API host that it is for.

        Raises:
            SignInError: When Zoho issues no access token.
            StoppedError: When the run is shutting down.
            ZohoUnavailableError: When the accounts host cannot be reached.
        """
        with self._lock:
            token = self._token
            if token is None or token.value == rejected or self._clock() >= token.renew_at:
                token = self._token = self._transport.attempt("sign in to Zoho", self._renew)
            return token.value, token.api_url

    def redact(self, text: str) -> str:
        """Remove this account's secrets from a text that came from outside.

        Args:
            text: Such as a message of Zoho's.
        """
        settings = self._settings
        token = self._token.value if self._token is not None else None
        return hide(
            text, [settings.client_secret, settings.refresh_token, settings.client_id, token]
        )

    def _renew(self) -> _AccessToken:
        with self._limit.slot(self._transport.stop, "sign in"):
            requested_at = self._clock()
            response = request_tokens(
                self._transport,
                self._accounts_url,
                {
                    "client_id": self._settings.client_id,
                    "client_secret": self._settings.client_secret,
                    **self._grant(),
                },
                secrets=[self._token.value] if self._token else [],
                advice=_ADVICE,
            )
        scopes = response.get("scope")
        self.granted_scopes = scopes if isinstance(scopes, str) and scopes.strip() else None
        life = _seconds(response.get("expires_in"))
        # A token with a short life is renewed halfway, so that no new token is due already.
        renew_at = requested_at + max(life - _RENEWAL_MARGIN_SECONDS, life / 2)
        logger.info("Signed in to Zoho; the access token is valid for %d s.", life)
        return _AccessToken(
            response["access_token"], self._api_url(response.get("api_domain")), renew_at
        )

    def _grant(self) -> dict[str, str]:
        """Return why Zoho should issue a token: a user's consent, or the client's own rights."""
        settings = self._settings
        if settings.soid is None:
            return {
                "grant_type": "refresh_token",
                "refresh_token": settings.refresh_token or "",
            }
        scopes = [SCOPE_TEXT, BULK_WRITE_SCOPE] if settings.bulk_write_job_ids else [SCOPE_TEXT]
        return {
            "grant_type": "client_credentials",
            "scope": ",".join(scopes),
            "soid": f"ZohoCRM.{settings.soid.removeprefix('ZohoCRM.')}",
        }

    def _api_url(self, api_domain: Any) -> str:
        """Return the API host: the override, else the response's if it is Zoho's, else the table's.

        Only the domain comes from the response; the environment is that of the settings.
        """
        if self._settings.api_url:
            return self._settings.api_url.rstrip("/")
        domain = DATA_CENTERS[self._settings.data_center].api_domain
        if isinstance(api_domain, str) and api_domain:
            zoho_domain = _zoho_domain(api_domain)
            if zoho_domain is None:
                logger.warning(
                    "The accounts host returned an API host that is not Zoho's; using %s.", domain
                )
            else:
                domain = zoho_domain
        return f"https://{API_SUBDOMAINS[self._settings.environment]}.{domain}"


def accounts_url(data_center: str, override: str | None) -> str:
    """Return the URL of a data center's accounts host, without a slash at its end.

    Args:
        data_center: Such as `eu`.
        override: The setting `accounts_url`, which wins.
    """
    return (override or DATA_CENTERS[data_center].accounts_url).rstrip("/")


def request_tokens(
    transport: Transport,
    url: str,
    form: Mapping[str, str],
    *,
    secrets: Iterable[str] = (),
    advice: Mapping[str, str],
) -> dict[str, Any]:
    """Send one token request; `Transport.attempt` retries it.

    Args:
        transport: Sends it.
        url: Of the accounts host.
        form: The grant. All values but those of `_PUBLIC` are secrets.
        secrets: Further texts that no error may show.
        advice: What to do, by Zoho's code for what is wrong.

    Returns:
        Zoho's response, with a valid `access_token`.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
        TransientError: When another attempt may succeed.
        UnreachableError: When the request can never succeed.
    """
    with transport.send(requests.Request("POST", f"{url}/oauth/v2/token", data=form)) as received:
        status, headers = received.status_code, received.headers
        response = json_object(transport.read_text(received, limit=_MAX_RESPONSE_BYTES))
    error = response.get("error")
    reported = str(response.get("code") if error is None else error)
    hidden = [value for name, value in form.items() if name not in _PUBLIC]
    code = hide(reported, [*hidden, *secrets])[:100]
    shown = f"HTTP {status}" if code == "None" else f"{code}, HTTP {status}"
    raise_if_transient(status, code, headers, f"the accounts host responded with {shown}")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise SignInError(
            f"The accounts host redirected the request (HTTP_{status}). The tap does not follow "
            "redirects, because secrets are sent to one host only. Check `accounts_url` and "
            "`data_center`."
        )
    token = response.get("access_token")
    if isinstance(token, str) and _header_text(token) and error is None:
        return response
    if error is None:
        raise TransientError(f"the accounts host sent no token ({shown})")
    what_to_do = advice.get(code, _GENERAL_ADVICE)
    refused = TokenLimitError if code == _TOO_MANY else SignInError
    raise refused(f"Zoho issued no access token: {code} (HTTP {status} from {url}). {what_to_do}")


def hide(text: str, secrets: Iterable[str | None]) -> str:
    """Replace secrets in a text that came from outside.

    Args:
        text: Such as a message of Zoho's.
        secrets: What the result must not contain.
    """
    for secret in filter(None, secrets):
        text = text.replace(secret, "(hidden)")
    return text


_header_text = re.compile(r"[!-~]+").fullmatch


def _zoho_domain(url: str) -> str | None:
    """Return a URL's API domain, such as `zohoapis.eu`; None if it is not Zoho's."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    prefix, _, domain = (parts.hostname or "").partition(".")
    is_zoho = (
        parts.scheme == "https"
        and port in {None, 443}
        and prefix in API_SUBDOMAINS.values()
        and domain in {each.api_domain for each in DATA_CENTERS.values()}
    )
    return domain if is_zoho else None


def _seconds(value: Any) -> float:
    """Parse `expires_in`; if it is invalid, return the hour that Zoho documents."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    return seconds if 0 < seconds < float("inf") else 3600.0
