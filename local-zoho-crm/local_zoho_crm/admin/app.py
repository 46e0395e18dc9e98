"""The admin routes: an HTTP API for the commands, and pages for a browser.

Invariant: only requests from this machine's programs and from these pages are accepted. Otherwise a
web page that the user visits could read and change the organisation through the browser.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from local_zoho_crm.admin import pages
from local_zoho_crm.admin.edits import EditError, Edits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from local_zoho_crm.oauth import TokenDesk
    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.request_log import LoggedRequest

PREFIX = "/_local"
_API = f"{PREFIX}/api"
_RECORDS = "/modules/{module}/records"
_RECORD = _RECORDS + "/{id}"
_HOSTS = frozenset({"127.0.0.1", "localhost"})
_OWN_SITES = frozenset({"same-origin", "none"})
_MAX_REQUESTS_SHOWN = 30
_MAX_RECORDS_SHOWN = 20


@dataclass(frozen=True)
class Admin:
    """Handles the admin requests and passes all others on.

    Attributes:
        organisation: The data to show and change.
        desk: Issues grant codes.
        config: Returns the configuration for the tap.
        requests: Returns the requests to Zoho's API so far.
        zoho: Handles everything outside `/_local/`.
    """

    organisation: Organisation
    desk: TokenDesk
    config: Callable[[], dict[str, Any]]
    requests: Callable[[], Sequence[LoggedRequest]]
    zoho: ASGIApp

    def app(self) -> ASGIApp:
        """Create the application that does both."""
        admin = Starlette(
            routes=[*self._api_routes(), *self._page_routes()],
            exception_handlers={EditError: _refuse},
        )

        async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].startswith(f"{PREFIX}/"):
                await self.zoho(scope, receive, send)
            elif not _is_own(scope):
                refusal = Response(
                    "Only programs on this machine and the admin page may send requests here.", 403
                )
                await refusal(scope, receive, send)
            else:
                await admin(scope, receive, send)

        return dispatch

    @property
    def edits(self) -> Edits:
        """Return the editor of the organisation's records."""
        return Edits(self.organisation)

    def _api_routes(self) -> list[Route]:
        return [
            Route(f"{_API}/config", lambda _: JSONResponse(self.config())),
            Route(f"{_API}/modules", lambda _: JSONResponse(self._modules())),
            Route(f"{_API}/codes", self._api_code, methods=["POST"]),
            Route(_API + _RECORDS, self._api_list, methods=["GET"]),
            Route(_API + _RECORDS, self._api_add, methods=["POST"]),
            Route(_API + _RECORD, self._api_change, methods=["PATCH"]),
            Route(_API + _RECORD, self._api_delete, methods=["DELETE"]),
        ]

    def _page_routes(self) -> list[Route]:
        return [
            Route(f"{PREFIX}/", self._overview, methods=["GET"]),
            Route(f"{PREFIX}/codes", self._page_code, methods=["POST"]),
            Route(f"{PREFIX}/modules/{{module}}", self._page_module, methods=["GET"]),
            Route(PREFIX + _RECORDS, self._page_add, methods=["POST"]),
            Route(PREFIX + _RECORD, self._page_record, methods=["GET"]),
            Route(PREFIX + _RECORD, self._page_change, methods=["POST"]),
            Route(f"{PREFIX}{_RECORD}/delete", self._page_delete, methods=["POST"]),
        ]

    # The API

    async def _api_code(self, request: Request) -> Response:
        return JSONResponse({"code": self._code(await _json(request))}, 201)

    def _api_list(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        return JSONResponse(self._latest(module.api_name))

    async def _api_add(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        return JSONResponse({"id": self.edits.add(module, await _json(request))}, 201)

    async def _api_change(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        self.edits.change(module, request.path_params["id"], await _json(request))
        return Response(status_code=204)

    def _api_delete(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        permanent = request.query_params.get("permanent") == "true"
        self.edits.delete(module, request.path_params["id"], permanent=permanent)
        return Response(status_code=204)

    # The pages

    def _overview(self, _: Request) -> Response:
        log = [str(request) for request in self.requests()[-_MAX_REQUESTS_SHOWN:]]
        return HTMLResponse(pages.overview(self._modules(), self.config(), log))

    async def _page_code(self, request: Request) -> Response:
        return HTMLResponse(pages.code(self._code(await _form(request))))

    def _page_module(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        return HTMLResponse(pages.module(module, self._latest(module.api_name)))

    def _page_record(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        record = self.edits.record(module, request.path_params["id"])
        return HTMLResponse(pages.record(module, record))

    async def _page_add(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        form = await _form(request)
        record_id = self.edits.add(module, pages.assignments(form.get("values", "")))
        return _see(f"modules/{module.api_name}/records/{record_id}")

    async def _page_change(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        record_id, form = request.path_params["id"], await _form(request)
        self.edits.change(module, record_id, pages.assignments(form.get("values", "")))
        return _see(f"modules/{module.api_name}/records/{record_id}")

    async def _page_delete(self, request: Request) -> Response:
        module = self.edits.module(request.path_params["module"])
        permanent = (await _form(request)).get("permanent") == "true"
        self.edits.delete(module, request.path_params["id"], permanent=permanent)
        return _see(f"modules/{module.api_name}")

    # What both show

    def _modules(self) -> list[dict[str, Any]]:
        with self.organisation.lock:
            return [
                {
                    "module": module.api_name,
                    "records": len(module.records),
                    "deleted": len(module.deleted),
                }
                for module in self.organisation.modules.values()
            ]

    def _latest(self, module_name: str) -> list[dict[str, str]]:
        """Return the ids and names of the newest records."""
        with self.organisation.lock:
            module = self.organisation.module(module_name)
            records = list(module.records.values())
        records.sort(key=lambda record: int(record["id"]), reverse=True)
        return [
            {"id": record["id"], "name": module.display_name(record)}
            for record in records[:_MAX_RECORDS_SHOWN]
        ]

    def _code(self, given: Mapping[str, Any]) -> str:
        scopes = given.get("scopes") or ""
        if not isinstance(scopes, str):
            raise EditError("The scopes must be one text, separated by commas.")
        return self.desk.authorization_code(scopes=scopes.split(",") if scopes else None)


def _is_own(scope: Scope) -> bool:
    """Return whether a request comes from a program of this machine or from an admin page.

    The name in `Host` is the attacker's after DNS rebinding; `Origin` and `Sec-Fetch-Site` show
    requests that other sites' pages make.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get("host", "")
    return (
        _host_name(host) in _HOSTS
        and headers.get("origin", f"http://{host}") == f"http://{host}"
        and headers.get("sec-fetch-site", "none") in _OWN_SITES
    )


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _json(request: Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        raise EditError("The body is not JSON.") from None
    if not isinstance(content, dict):
        raise EditError("The body is not a JSON object.")
    return content


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode(errors="replace")))


def _see(path: str) -> Response:
    return RedirectResponse(f"{PREFIX}/{path}", 303)


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, EditError)
    if request.url.path.startswith(f"{_API}/"):
        return JSONResponse({"error": str(error)}, error.status)
    return HTMLResponse(pages.problem(str(error)), error.status)
