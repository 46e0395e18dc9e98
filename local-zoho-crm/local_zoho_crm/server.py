"""The local Zoho CRM: an organisation behind HTTP, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from local_zoho_crm.access import Access
from local_zoho_crm.admin import Admin
from local_zoho_crm.bulk import BulkApi
from local_zoho_crm.consent import ConsentPages
from local_zoho_crm.errors import ZohoError
from local_zoho_crm.export import CsvStyle
from local_zoho_crm.faults import Faults
from local_zoho_crm.gateway import Connections, Gateway
from local_zoho_crm.jobs import JobBoard
from local_zoho_crm.oauth import TokenDesk
from local_zoho_crm.rest import RestApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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
# For a client's setting that must be a number though the server has no limit
_MANY_DOWNLOADS_PER_MINUTE = 6000


class ZohoServer:
    """Serves an organisation on 127.0.0.1 from `with` until the end of its block.

    Args:
        organisation: What to serve.
        port: The port; 0 takes a free one.
        page_size: Records of a bulk read job (Zoho: 200,000).
        job_seconds: How long a job runs, by the organisation's clock.
        parallel_jobs: How many jobs run at once; None for any number.
        downloads_per_minute: Zoho's limit is 10; None for none.
        concurrent_requests: How many API calls may run at once; None for any number.
        tokens_per_ten_minutes: Token requests for one refresh token; None for any number.
        latency: Seconds that every request takes at least.
        csv: How result files look.
        scopes: What the refresh token of `tap_config` allows; default all that is needed.
        tell_scopes: Whether token answers name the scopes.
        redirect_uris: Those that the client has registered for consent in a browser.
        location: The data center that answers to consent name, in Zoho's words.
        accounts_server: The accounts host that they name; default this server.
        page_tokens: Whether pages are asked for by token; default from v7 on.
        api_domain: What token answers say; default this server.
        admin: Whether the admin page and API below `/_local/` are served.
    """

    def __init__(  # noqa: PLR0913 - all settings
        self,
        organisation: Organisation,
        *,
        port: int = 0,
        page_size: int = 200_000,
        job_seconds: float = 0.0,
        parallel_jobs: int | None = None,
        downloads_per_minute: int | None = None,
        concurrent_requests: int | None = 10,
        tokens_per_ten_minutes: int | None = 10,
        latency: float = 0.0,
        csv: CsvStyle | None = None,
        scopes: Iterable[str] | None = None,
        tell_scopes: bool = True,
        redirect_uris: Iterable[str] = (),
        location: str = "us",
        accounts_server: str | None = None,
        page_tokens: bool | None = None,
        api_domain: str | None = None,
        admin: bool = False,
    ) -> None:
        self.organisation = organisation
        self.faults = Faults()
        self.desk = TokenDesk(
            organisation,
            requests_per_ten_minutes=tokens_per_ten_minutes,
            scopes=scopes,
            tell_scopes=tell_scopes,
        )
        consent = ConsentPages(
            self.desk,
            redirect_uris=redirect_uris,
            location=location,
            accounts_server=accounts_server,
        )
        self._access = Access(self.desk)
        self._board = JobBoard(
            organisation,
            page_size=page_size,
            job_seconds=job_seconds,
            parallel_jobs=parallel_jobs,
            style=csv or CsvStyle(),
        )
        bulk = BulkApi(
            organisation,
            self._access,
            self._board,
            self.faults,
            downloads_per_minute=downloads_per_minute,
            page_tokens=page_tokens,
        )
        rest = RestApi(organisation, self._access)
        connections = Connections()
        app = Starlette(
            routes=[
                Route("/oauth/v2/token", self._token, methods=["POST"]),
                *consent.routes(),
                *bulk.routes(),
                *rest.routes(),
            ],
            exception_handlers={
                ZohoError: _refuse,
                404: lambda *_: ZohoError("INVALID_URL_PATTERN").response(),
                405: lambda *_: ZohoError("INVALID_REQUEST_METHOD").response(),
            },
        )
        app.router.redirect_slashes = False
        self._gateway = Gateway(
            app,
            self.faults,
            connections,
            clock=organisation.now,
            concurrent_requests=concurrent_requests,
            latency=latency,
        )
        served: ASGIApp = self._gateway
        if admin:
            served = Admin(
                organisation,
                self.desk,
                config=self.tap_config_by_hand,
                requests=lambda: self.requests,
                zoho=self._gateway,
            ).app()
        self._downloads_per_minute = downloads_per_minute
        self._api_domain = api_domain
        self._port = port
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._uvicorn = _Server(
            uvicorn.Config(
                served,
                http=connections.protocol(),
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
            )
        )

    def __enter__(self) -> Self:
        """Start serving."""
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        # The protocol is named, else asyncio leaves Nagle's algorithm on: 40 ms an answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", self._port))
        except OSError:
            self._socket.close()
            self._board.close()
            raise
        self._socket.listen(256)
        self._port = self._socket.getsockname()[1]
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
        """Where the server is, for signing in as for the API."""
        return f"http://127.0.0.1:{self._port}"

    def tap_config(self, **overrides: Any) -> dict[str, Any]:
        """A configuration with which the tap reaches this server."""
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
        limit = self._downloads_per_minute or _MANY_DOWNLOADS_PER_MINUTE
        return self.tap_config(downloads_per_minute=limit)

    @property
    def secrets(self) -> list[str]:
        """Every secret: the client's, refresh tokens, all access tokens so far."""
        return self.desk.secrets

    @property
    def requests(self) -> list[LoggedRequest]:
        """Every request so far, in order of arrival."""
        return list(self._gateway.requests)

    def requests_matching(self, method: str, path_regex: str) -> list[LoggedRequest]:
        """The requests of a method whose path has a match."""
        return [
            request
            for request in self.requests
            if request.method == method and re.search(path_regex, request.path)
        ]

    @property
    def credits(self) -> int:
        """API credits used so far."""
        return self._access.credits

    @property
    def peak_concurrency(self) -> int:
        """The most API calls that ran at once."""
        return self._gateway.peak_concurrency

    @property
    def jobs(self) -> list[Job]:
        """Every bulk read job that was created, forgotten ones too."""
        return self._board.jobs

    @property
    def on_request(self) -> Callable[[LoggedRequest], None] | None:
        """Called with each request before it is handled, on a thread of its own."""
        return self._gateway.on_request

    @on_request.setter
    def on_request(self, callback: Callable[[LoggedRequest], None] | None) -> None:
        self._gateway.on_request = callback

    @property
    def on_response(self) -> Callable[[LoggedRequest], None] | None:
        """Called with each request when it has been answered."""
        return self._gateway.on_response

    @on_response.setter
    def on_response(self, callback: Callable[[LoggedRequest], None] | None) -> None:
        self._gateway.on_response = callback

    def forget_tokens(self) -> None:
        """End every access token's life."""
        self.desk.forget_access_tokens()

    def forget_jobs(self) -> None:
        """Lose every job, its file and its page tokens."""
        self._board.forget()

    async def _token(self, request: Request) -> Response:
        if _SECRET_PARAMETERS & set(request.query_params):
            return Response("Secrets belong in the body.", 400)
        body = (await request.body()).decode(errors="replace")
        form = dict(parse_qsl(body, keep_blank_values=True))
        return self.desk.answer(form, api_domain=self._api_domain or self.url)


class _Server(uvicorn.Server):
    """Stops when told to, with no ticks and pauses: suites start hundreds of servers."""

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
        # Tasks and connections end in the loop's next rounds; a callback that hangs never does.
        for _ in range(_ROUNDS):
            if not (self.server_state.connections or self.server_state.tasks):
                break
            await asyncio.sleep(0.001)

    def stop(self) -> None:
        """End the server's loop; called from another thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)


def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, ZohoError)
    return error.response()
