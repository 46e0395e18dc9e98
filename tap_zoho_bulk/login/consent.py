"""Consent: the URL where a user grants it, and Zoho's authorization response.

Invariant: a response counts only if its state shows that it is to this request. The hosts in a
response only select among Zoho's known ones.

Source: https://www.zoho.com/accounts/protocol/oauth/web-apps/authorization.html and
https://www.zoho.com/accounts/protocol/oauth/multi-dc/client-authorization.html
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from tap_zoho_bulk.crm.data_centers import DATA_CENTERS
from tap_zoho_bulk.crm.scopes import SCOPE_TEXT
from tap_zoho_bulk.exceptions import SignInError
from tap_zoho_bulk.reporting.printable import printable


@dataclass(frozen=True)
class Grant:
    """What a user granted, to be exchanged for tokens.

    Args:
        code: Zoho's code, which is valid for minutes and once.
        redirect_uri: Where Zoho sent it; None for a self client's code.
        location: The account's data center, if the response has it.
        accounts_server: The URL of the account's accounts host, if the response has it.
    """

    code: str
    redirect_uri: str | None = None
    location: str | None = None
    accounts_server: str | None = None

    @property
    def data_center(self) -> str | None:
        """The account's data center; None if the response has none that is known."""
        location = (self.location or "").lower()
        if location in DATA_CENTERS:
            return location
        for name, data_center in DATA_CENTERS.items():
            if (self.accounts_server or "").rstrip("/") == data_center.accounts_url:
                return name
        return None


class UnrelatedResponseError(Exception):
    """A text or a redirect is not a response to this request for consent; the next one may be."""


class Consent:
    """One request for consent.

    Args:
        accounts_url: Of the accounts host, without a slash at its end.
        client_id: Of the client.
        redirect_uri: Where Zoho sends the response.
    """

    def __init__(self, accounts_url: str, client_id: str, redirect_uri: str) -> None:
        self.redirect_uri = redirect_uri
        self._state = secrets.token_urlsafe(24)
        # Without `prompt`, Zoho issues a refresh token the first time only.
        query = {
            "response_type": "code",
            "client_id": client_id,
            "scope": SCOPE_TEXT,
            "redirect_uri": redirect_uri,
            "access_type": "offline",
            "prompt": "consent",
            "state": self._state,
        }
        self.url = f"{accounts_url}/oauth/v2/auth?{urlencode(query, safe=',')}"

    def parse_redirect(self, query: str) -> Grant:
        """Parse the query of the URL to which Zoho redirected the browser.

        Args:
            query: Such as `code=1000.x.y&location=eu&accounts-server=https%3A%2F%2F…&state=z`.

        Raises:
            UnrelatedResponseError: When it is not a response, or one to another request.
            SignInError: When consent was denied.
        """
        response = dict(parse_qsl(query))
        code, error, state = map(response.get, ("code", "error", "state"))
        if not (code or error):
            raise UnrelatedResponseError("That is not a response from Zoho: it has no code.")
        ours = secrets.compare_digest((state or "").encode(), self._state.encode())
        # A denial is harmless, so it may lack the state.
        if not ours and (state is not None or error != "access_denied"):
            raise UnrelatedResponseError(
                "That is the response to another sign-in. Open the address that was printed last, "
                "and use the response to that one."
            )
        if error or code is None:
            raise SignInError(_refusal(error or ""))
        return Grant(
            code,
            redirect_uri=self.redirect_uri,
            location=response.get("location"),
            accounts_server=response.get("accounts-server"),
        )

    def parse_pasted(self, text: str) -> Grant:
        """Parse what a user pasted: the complete URL of Zoho's response, or a self client's code.

        Args:
            text: One line.

        Raises:
            UnrelatedResponseError: When it is neither.
            SignInError: When consent was denied.
        """
        if "=" not in text and "/" not in text:
            return Grant(parse_code(text))
        try:
            query = urlsplit(text).query
        except ValueError:
            query = ""
        return self.parse_redirect(query)


def parse_code(text: str) -> str:
    """Parse a self client's code.

    Args:
        text: One line.

    Raises:
        UnrelatedResponseError: When it cannot be a code.
    """
    code = text.strip()
    if not code or not code.isascii() or not code.isprintable() or " " in code:
        raise UnrelatedResponseError(
            "That is not a code: a code is a single word, such as 1000.xxxx.yyyy."
        )
    return code


def _refusal(error: str) -> str:
    if error == "access_denied":
        return (
            "Consent was denied in the browser (access_denied), so there is no token. Run the "
            "command again and accept, as a user who may read the data."
        )
    shown = printable(error[:100])
    return f"Zoho issued no code: {shown}. Check the client in Zoho's API console, and try again."
