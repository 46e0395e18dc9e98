"""Consent: the address where a person gives it, and what Zoho's answer says.

Invariant: only an answer to this very request counts, which its state shows. What an answer says
of hosts chooses among Zoho's known ones, and never adds one.

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


@dataclass(frozen=True)
class Grant:
    """What a person allowed, to be exchanged for tokens.

    Args:
        code: Zoho's code, which lives for minutes and works once.
        redirect_uri: Where Zoho sent it to; None for a self client's.
        location: The data center of the account as Zoho's answer names it, if it does.
        accounts_server: The URL of its accounts host, likewise.
    """

    code: str
    redirect_uri: str | None = None
    location: str | None = None
    accounts_server: str | None = None

    @property
    def data_center(self) -> str | None:
        """The account's data center; None where the answer names none that is known."""
        location = (self.location or "").lower()
        if location in DATA_CENTERS:
            return location
        for name, data_center in DATA_CENTERS.items():
            if (self.accounts_server or "").rstrip("/") == data_center.accounts_url:
                return name
        return None


class NoAnswerError(Exception):
    """A text or a request that is no answer to this request for consent; another may be."""


class Consent:
    """One request for consent.

    Args:
        accounts_url: Of the accounts host, without a slash at its end.
        client_id: Whose client it is.
        redirect_uri: Where Zoho's answer shall go.
    """

    def __init__(self, accounts_url: str, client_id: str, redirect_uri: str) -> None:
        self.redirect_uri = redirect_uri
        self._state = secrets.token_urlsafe(24)
        # Without `prompt`, Zoho gives a refresh token the first time only.
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

    def read(self, query: str) -> Grant:
        """Read the query of the URL to which Zoho sent the browser.

        Args:
            query: Such as `code=1000.x.y&location=eu&accounts-server=https%3A%2F%2F…&state=z`.

        Raises:
            NoAnswerError: When it answers no request for consent, or another one.
            SignInError: When consent was denied.
        """
        answer = dict(parse_qsl(query))
        code, error, state = answer.get("code"), answer.get("error"), answer.get("state")
        if not (code or error):
            raise NoAnswerError("That is no answer from Zoho: it holds no code.")
        ours = secrets.compare_digest((state or "").encode(), self._state.encode())
        # A denial gives nothing away, so it may lack the state.
        if not ours and (state is not None or error != "access_denied"):
            raise NoAnswerError(
                "That answers another sign-in, not this one. Open the address that was printed "
                "last, and take the answer to that."
            )
        if error or code is None:
            raise SignInError(_refusal(error or ""))
        return Grant(
            code,
            redirect_uri=self.redirect_uri,
            location=answer.get("location"),
            accounts_server=answer.get("accounts-server"),
        )

    def read_pasted(self, text: str) -> Grant:
        """Read what a person pasted: the whole URL of Zoho's answer, or a self client's code.

        Args:
            text: One line.

        Raises:
            NoAnswerError: When it is neither.
            SignInError: When consent was denied.
        """
        if "=" not in text and "/" not in text:
            return Grant(only_code(text))
        try:
            query = urlsplit(text).query
        except ValueError:
            query = ""
        return self.read(query)


def only_code(text: str) -> str:
    """Read a self client's code.

    Args:
        text: One line.

    Raises:
        NoAnswerError: When it cannot be a code.
    """
    code = text.strip()
    if not code or not code.isascii() or not code.isprintable() or " " in code:
        raise NoAnswerError("That is no code: one is a single word, such as 1000.xxxx.yyyy.")
    return code


def _refusal(error: str) -> str:
    if error == "access_denied":
        return (
            "Consent was denied in the browser (access_denied), so there is no token. Run the "
            "command again and accept, as a user who may read the data."
        )
    told = "".join(filter(str.isprintable, error))[:100]
    return f"Zoho gave no code: {told}. Check the client in Zoho's API console, and run it again."
