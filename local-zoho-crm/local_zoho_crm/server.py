"""The local Zoho CRM: serves an organisation over HTTP, in a separate thread."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from local_zoho_crm.access import Access
from local_zoho_crm.admin import Admin
from local_zoho_crm.bulk import BulkApi
from local_zoho_crm.company_calls import CompanyCalls
from local_zoho_crm.consent import ConsentPages
from local_zoho_crm.errors import ZohoError
from local_zoho_crm.export import CsvStyle
from local_zoho_crm.faults import Faults
from local_zoho_crm.gateway import Gateway
from local_zoho_crm.jobs import JobBoard
from local_zoho_crm.oauth import TokenDesk
from local_zoho_crm.rest import RestApi
from local_zoho_crm.search_index import SearchIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from types import TracebackType

    from starlette.requests import Request
    from starlette.types import ASGIApp
    from typing_extensions import Self

    from local_zoho_crm.jobs import Job
    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.request_log import LoggedRequest

_SECRET_PARAMETERS = frozenset(
    {"client_id", "client_secret", "refresh_token", "access_token", "code"}
)

_ROUNDS = 1000
# The tap's setting must be a number, even if the server has no limit.
_MANY_DOWNLOADS_PER_MINUTE = 6000


@dataclass(eq=False)
class ZohoServer:
    """Serves an organisation on 127.0.0.1 within a `with` block.

    Attributes:
        organisation: The data to serve.
        port: The port; 0 for a free one, which replaces it on start.
        page_size: Records per bulk read job (Zoho: 200,000).
        job_seconds: Duration of a job by the organisation's clock.
        parallel_jobs: Maximum of jobs that run at once; None for no limit.
        downloads_per_minute: Maximum of downloads (Zoho: 10); None for no limit.
        concurrent_requests: Maximum of concurrent API calls; None for no limit.
        daily_credits: API credits that may be used; responses contain the rest once half of them
            are used. None for no limit.
        tokens_per_ten_minutes: Maximum of token requests per refresh token; None for no limit.
        latency: Minimum duration of every request in seconds.
        csv: The style of CSV files, and of calendars.
        count_lag: How old the index that counts are from may be, by the organisation's clock (Zoho:
            up to ten minutes); None for no lag.
        no_content: The status of responses without records; default 204, or 304 if none changed.
        scopes: Scopes of the refresh token in `tap_config`, and those that client credentials may
            get; default all that the tap needs.
        tell_scopes: Whether token responses contain the scopes.
        redirect_uris: Redirect URIs of the client, for consent in a browser.
        location: The data center in redirects after consent, as Zoho names it.
        accounts_server: The accounts host in those redirects; default this server.
        page_tokens: Whether pages are requested by token; default from v7 on.
        api_domain: The API domain in token responses; default this server.
        admin: Whether to serve the admin page and API below `/_local/`.
    """

    organisation: Organisation
    _: KW_ONLY
    port: int = 0
    page_size: int = 200_000
    job_seconds: float = 0.0
    parallel_jobs: int | None = None
    downloads_per_minute: int | None = None
    concurrent_requests: int | None = 10
    daily_credits: int | None = None
    tokens_per_ten_minutes: int | None = 10
    latency: float = 0.0
    csv: CsvStyle = field(default_factory=CsvStyle)
    count_lag: timedelta | None = None
    no_content: int | None = None
    scopes: Iterable[str] | None = None
    tell_scopes: bool = True
    redirect_uris: Iterable[str] = ()
    location: str = "us"
    accounts_server: str | None = None
    page_tokens: bool | None = None
    api_domain: str | None = None
    admin: bool = False

    def __post_init__(self) -> None:
        self.faults = Faults()
        self.desk = TokenDesk(
            self.organisation,
            requests_per_ten_minutes=self.tokens_per_ten_minutes,
            scopes=self.scopes,
            tell_scopes=self.tell_scopes,
        )
        self._access = Access(self.desk, self.daily_credits)
        self._board = JobBoard(
            self.organisation,
            page_size=self.page_size,
            job_seconds=self.job_seconds,
            parallel_jobs=self.parallel_jobs,
            style=self.csv,
        )
        self._gateway = Gateway(
            self._zoho_app(),
            self.faults,
            clock=self.organisation.now,
            concurrent_requests=self.concurrent_requests,
            latency=self.latency,
            credits_left=self._access.credits_left,
        )
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._uvicorn = _Server(
            uvicorn.Config(
                self._with_admin() if self.admin else self._gateway,
                http=self._gateway.connections.protocol(),
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
            )
        )

    def _zoho_app(self) -> Starlette:
        """Create the application with Zoho's API."""
        consent = ConsentPages(
            self.desk,
            redirect_uris=self.redirect_uris,
            location=self.location,
            accounts_server=self.accounts_server,
        )
        self._bulk = BulkApi(
            self._access,
            self._board,
            self.faults,
            downloads_per_minute=self.downloads_per_minute,
            page_tokens=self.page_tokens,
        )
        index = SearchIndex(self.organisation, self.count_lag)
        rest = RestApi(self.organisation, self._access, index, self.no_content)
        app = Starlette(
            routes=[
                Route("/oauth/v2/token", self._token, methods=["POST"]),
                *consent.routes(),
                *self._bulk.routes(),
                *CompanyCalls(self.organisation, self._access).routes(),
                *rest.routes(),
            ],
            exception_handlers={
                ZohoError: _refuse,
                404: lambda *_: ZohoError("INVALID_URL_PATTERN").response(),
                405: lambda *_: ZohoError("INVALID_REQUEST_METHOD").response(),
            },
        )
        app.router.redirect_slashes = False
        return app

    def _with_admin(self) -> ASGIApp:
        """Create the application that also serves the admin page and API."""
        return Admin(
            self.organisation,
            self.desk,
            config=self.tap_config_by_hand,
            requests=lambda: self.requests,
            zoho=self._gateway,
        ).app()

    def __enter__(self) -> Self:
        """Start serving."""
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        # asyncio turns off Nagle's algorithm, 40 ms per response, only if the protocol is named.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", self.port))
        except OSError:
            self._socket.close()
            self._board.close()
            raise
        self._socket.listen(256)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        while not self._uvicorn.started:
            if not self._thread.is_alive():
                raise RuntimeError("The Zoho server did not start")
            time.sleep(0.001)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving and remove the result files."""
        self._uvicorn.stop()
        if self._thread:
            self._thread.join()
        if self._socket:
            self._socket.close()
        self._board.close()

    @property
    def url(self) -> str:
        """Return the server's URL, for both sign-in and API."""
        return f"http://127.0.0.1:{self.port}"

    def tap_config(self, **overrides: Any) -> dict[str, Any]:
        """Return a configuration with which the tap reaches this server."""
        return {
            "client_id": self.desk.client_id,
            "client_secret": self.desk.client_secret,
            "refresh_token": self.desk.refresh_token,
            "accounts_url": self.url,
            "api_url": self.url,
            **overrides,
        }

    def tap_config_by_hand(self) -> dict[str, Any]:
        """Return `tap_config` with the tap's own limit on downloads set to this server's."""
        limit = self.downloads_per_minute or _MANY_DOWNLOADS_PER_MINUTE
        return self.tap_config(downloads_per_minute=limit)

    @property
    def secrets(self) -> list[str]:
        """Return all secrets so far: the client's, refresh tokens, codes, access tokens."""
        return self.desk.secrets

    @property
    def requests(self) -> list[LoggedRequest]:
        """Return all requests so far, in order of arrival."""
        return list(self._gateway.requests)

    def requests_matching(self, method: str, path_regex: str) -> list[LoggedRequest]:
        """Return the requests with this method and a matching path."""
        return [
            request
            for request in self.requests
            if request.method == method and re.search(path_regex, request.path)
        ]

    @property
    def credits(self) -> int:
        """Return the API credits used so far."""
        return self._access.credits

    @property
    def peak_concurrency(self) -> int:
        """Return the maximum of concurrent API calls so far."""
        return self._gateway.peak_concurrency

    @property
    def jobs(self) -> list[Job]:
        """Return all bulk read jobs ever created."""
        return self._board.jobs

    @property
    def on_request(self) -> Callable[[LoggedRequest], None] | None:
        """Return the callback for each request before it is handled; runs on a worker thread."""
        return self._gateway.on_request

    @on_request.setter
    def on_request(self, callback: Callable[[LoggedRequest], None] | None) -> None:
        self._gateway.on_request = callback

    @property
    def on_response(self) -> Callable[[LoggedRequest], None] | None:
        """Return the callback for each request after its response."""
        return self._gateway.on_response

    @on_response.setter
    def on_response(self, callback: Callable[[LoggedRequest], None] | None) -> None:
        self._gateway.on_response = callback

    def run_jobs(self) -> None:
        """Run every job whose time has come: by default, one runs when a client asks for it."""
        self._bulk.run_jobs()

    def forget_tokens(self) -> None:
        """Invalidate all access tokens."""
        self.desk.forget_access_tokens()

    def forget_jobs(self) -> None:
        """Remove all jobs with their files and page tokens."""
        self._board.forget()

    async def _token(self, request: Request) -> Response:
        if _SECRET_PARAMETERS & set(request.query_params):
            return Response("Secrets belong in the body.", 400)
        body = (await request.body()).decode(errors="replace")
        form = dict(parse_qsl(body, keep_blank_values=True))
        return self.desk.respond(form, api_domain=self.api_domain or self.url)


class _Server(uvicorn.Server):
    """A server that stops at once, without polling: test suites start hundreds of servers."""

    _stopping: asyncio.Event
    _loop: asyncio.AbstractEventLoop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        for each in sockets or []:
            each.close()
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # Tasks and connections end within a few rounds of the loop, unless a callback hangs.
        for _ in range(_ROUNDS):
            if not (self.server_state.connections or self.server_state.tasks):
                break
            await asyncio.sleep(0.001)

    def stop(self) -> None:
        """Stop the server's loop from another thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)


def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, ZohoError)
    return error.response()
