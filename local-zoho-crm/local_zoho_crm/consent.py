"""The consent pages of the accounts host, and the redirect with the user's decision.

Source: https://www.zoho.com/accounts/protocol/oauth/web-apps/authorization.html
"""

from __future__ import annotations

import html
import re
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from local_zoho_crm.oauth import TokenDesk

_scope = re.compile(r"[A-Za-z]+(\.\w+)+\.(ALL|READ|CREATE|UPDATE|DELETE|WRITE)").fullmatch
_PAGE = "<!DOCTYPE html><html><head><title>Zoho Accounts</title></head><body>{}</body></html>"
_FORM = """<h1>A client would like to access your data</h1><ul>{scopes}</ul>
<form method="post" action="/oauth/v2/approve">
<input type="hidden" name="ticket" value="{ticket}">
<button name="decision" value="accept">Accept</button>
<button name="decision" value="reject">Reject</button>
</form>"""


class ConsentPages:
    """Asks the user for consent and redirects the browser with a code.

    Args:
        desk: Issues the codes.
        redirect_uris: The redirect URIs that the client has registered.
        location: The account's data center, as Zoho names it.
        accounts_server: The accounts host in redirects; default this server.
    """

    def __init__(
        self,
        desk: TokenDesk,
        *,
        redirect_uris: Iterable[str],
        location: str,
        accounts_server: str | None,
    ) -> None:
        self._desk = desk
        self._redirect_uris = frozenset(redirect_uris)
        self._location = location
        self._accounts_server = accounts_server
        self._serial = count(1)
        self._pending: dict[str, dict[str, str]] = {}
        self._consented: set[frozenset[str]] = set()

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        return [
            Route("/oauth/v2/auth", self._ask, methods=["GET"]),
            Route("/oauth/v2/approve", self._decide, methods=["POST"]),
        ]

    async def _ask(self, request: Request) -> Response:
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        query = dict(pairs)
        if problem := self._problem(query, twice=len(pairs) != len(query)):
            return _page(f"<h1>Error Occurred</h1><p>{problem}</p>", 400)
        scopes = query["scope"].split(",")
        if "prompt" not in query and frozenset(scopes) in self._consented:
            # Without `prompt`, Zoho asks once and issues a refresh token once.
            return self._redirect_with_code(request, query, offline=False)
        ticket = f"ticket-{next(self._serial):04d}"
        self._pending[ticket] = query
        listed = "".join(f"<li>{html.escape(scope)}</li>" for scope in scopes)
        return _page(_FORM.format(scopes=listed, ticket=ticket))

    def _problem(self, query: dict[str, str], *, twice: bool) -> str | None:
        scopes = query.get("scope", "").split(",")
        rules = {
            "Invalid Request": not twice,
            "Invalid Client": query.get("client_id") == self._desk.client_id,
            "Invalid Redirect Uri": query.get("redirect_uri") in self._redirect_uris,
            "Invalid Response Type": query.get("response_type") == "code",
            "Invalid OAuth Scope": all(map(_scope, scopes)),
            "Invalid Access Type": query.get("access_type", "online") in ("online", "offline"),
            "Invalid Prompt": query.get("prompt", "consent") == "consent",
        }
        return next((problem for problem, holds in rules.items() if not holds), None)

    async def _decide(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        query = self._pending.pop(form.get("ticket", ""), None)
        if query is None:
            return _page("<h1>Error Occurred</h1><p>Invalid Request</p>", 400)
        if form.get("decision") != "accept":
            return _redirect(query, {"error": "access_denied"})
        self._consented.add(frozenset(query["scope"].split(",")))
        return self._redirect_with_code(
            request, query, offline=query.get("access_type") == "offline"
        )

    def _redirect_with_code(
        self, request: Request, query: dict[str, str], *, offline: bool
    ) -> Response:
        scopes = query["scope"].split(",")
        code = self._desk.redirected_code(scopes, query["redirect_uri"], offline=offline)
        here = str(request.base_url).rstrip("/")
        parameters = {
            "code": code,
            "location": self._location,
            "accounts-server": self._accounts_server or here,
        }
        return _redirect(query, parameters)


def _redirect(query: dict[str, str], parameters: dict[str, str]) -> Response:
    """Redirect the browser, with its state if it sent one."""
    state = {"state": query["state"]} if "state" in query else {}
    return RedirectResponse(f"{query['redirect_uri']}?{urlencode({**state, **parameters})}", 302)


def _page(body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(body), status)
