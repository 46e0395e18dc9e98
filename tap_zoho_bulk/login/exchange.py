"""The exchange of a code for a refresh token, and the scopes of that token.

Invariant: the client's secret and the code are sent to one accounts host only, which is Zoho's or
the user's own.

Source: https://www.zoho.com/accounts/protocol/oauth/web-apps/access-token.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.auth import CLIENT_ADVICE, accounts_url, request_tokens
from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.api.transport import Transport
from tap_zoho_bulk.catalog.probes import scopes_not_granted
from tap_zoho_bulk.crm.scopes import not_granted
from tap_zoho_bulk.exceptions import SignInError
from tap_zoho_bulk.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_zoho_bulk.crm.scopes import Scope
    from tap_zoho_bulk.login.consent import Grant

# A user waits, and can run the command again.
_TIMEOUT_SECONDS = 30.0
_MAX_RETRIES = 2


def exchange(grant: Grant, config: Mapping[str, Any]) -> dict[str, Any]:
    """Exchange a code for tokens.

    Args:
        grant: With the code.
        config: The tap's settings so far, with the client and the accounts host.

    Returns:
        Zoho's response, with a `refresh_token`.

    Raises:
        SignInError: When Zoho issues no refresh token.
        ZohoUnavailableError: When the accounts host cannot be reached.
    """
    form = {
        "grant_type": "authorization_code",
        "client_id": config["client_id"],
        "client_secret": config["client_secret"],
        "code": grant.code,
    }
    if grant.redirect_uri is not None:
        form["redirect_uri"] = grant.redirect_uri
    transport = Transport(
        timeout=_TIMEOUT_SECONDS, max_retries=_MAX_RETRIES, max_concurrent_requests=1
    )
    url = accounts_url(config["data_center"], config.get("accounts_url"))
    try:
        response = transport.attempt(
            "exchange the code for a refresh token",
            lambda: request_tokens(transport, url, form, advice=_advice(grant)),
        )
    finally:
        transport.close()
    token = response.get("refresh_token")
    if not isinstance(token, str) or not token:
        raise SignInError(
            "Zoho issued an access token but no refresh token: this consent was not for offline "
            "access, or was granted before. Run the command again and open the address that it "
            "prints then; if that does not help, remove this client under Connected Apps in the "
            "security settings of your Zoho account first."
        )
    return response


def missing_scopes(response: Mapping[str, Any], config: Mapping[str, Any]) -> Sequence[Scope]:
    """Return the scopes that the tap uses and the refresh token lacks.

    Args:
        response: From `exchange`. If it lists no scopes, cheap requests probe each of them.
        config: The tap's settings, with the refresh token.

    Raises:
        SignInError: When Zoho does not accept the refresh token.
        ZohoUnavailableError: When Zoho cannot be reached.
    """
    granted = response.get("scope")
    if isinstance(granted, str) and granted.strip():
        return not_granted(granted)
    limits = {"request_timeout_seconds": _TIMEOUT_SECONDS, "max_retries": _MAX_RETRIES}
    settings = Settings.from_config({**config, **limits})
    client = ZohoClient(settings)
    try:
        return scopes_not_granted(client, settings)
    finally:
        client.close()


def _advice(grant: Grant) -> dict[str, str]:
    """Return what to do about Zoho's errors, by its code."""
    redirect_advice = (
        "The code came from the tab Generate Code of a self client."
        if grant.redirect_uri is None
        else f"The client needs {grant.redirect_uri} among its authorized redirect URIs."
    )
    return {
        **CLIENT_ADVICE,
        "invalid_code": (
            "The code is wrong, was used already, has expired (codes live for two to ten "
            "minutes), or belongs to another client or data center. Run the command again with a "
            "new code."
        ),
        "invalid_redirect_uri": redirect_advice,
    }
