"""What every request passes: the log, the concurrency limit, latency and injected faults."""

from __future__ import annotations

import asyncio
import socket
import struct
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from local_zoho_crm.errors import ZohoError
from local_zoho_crm.request_log import LoggedRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from local_zoho_crm.faults import Fault, Faults


class Gateway:
    """Wraps the API: logs requests, counts concurrent ones, and injects faults."""

    def __init__(  # noqa: PLR0913 - each is a setting of the server
        self,
        app: ASGIApp,
        faults: Faults,
        *,
        clock: Callable[[], datetime],
        concurrent_requests: int | None,
        latency: float,
        credits_left: Callable[[], int | None],
    ) -> None:
        self.connections = Connections()
        self.requests: list[LoggedRequest] = []
        self.peak_concurrency = 0
        self.on_request: Callable[[LoggedRequest], None] | None = None
        self.on_response: Callable[[LoggedRequest], None] | None = None
        self._app = app
        self._faults = faults
        self._clock = clock
        self._limit = concurrent_requests
        self._latency = latency
        self._credits_left = credits_left
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        request = LoggedRequest(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers={name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
            body=await _body(receive),
        )
        self.requests.append(request)
        if self.on_request:
            await run_in_threadpool(self.on_request, request)

        async def replay() -> Message:
            return {"type": "http.request", "body": request.body, "more_body": False}

        # Zoho counts API calls, and signing in is not an API call.
        counted = request.path.startswith("/crm/")

        async def log(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                date = formatdate(self._clock().timestamp(), usegmt=True).encode()
                more = [(b"date", date), (b"server", b"ZGS")]
                if counted and (left := self._credits_left()) is not None:
                    more.append((b"x-api-credits-remaining", str(left).encode()))
                message["headers"] = [*message["headers"], *more]
            await send(message)

        self._active += counted
        self.peak_concurrency = max(self.peak_concurrency, self._active)
        try:
            if counted and self._limit is not None and self._active > self._limit:
                await ZohoError("TOO_MANY_REQUESTS").response()(scope, replay, log)
                return
            if self._latency:
                await asyncio.sleep(self._latency)
            await self._handle(request, scope, replay, log)
        finally:
            self._active -= counted
            if self.on_response:
                self.on_response(request)

    async def _handle(
        self, request: LoggedRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Pass the request to the API unless a fault affects it."""
        for fault in self._faults.for_request(request):
            match fault.kind:
                case "delay":
                    await asyncio.sleep(fault.seconds)
                    continue
                case "reset":
                    self.connections.abort(scope)
                case "lost":
                    await self._app(scope, receive, _nowhere)
                    self.connections.abort(scope)
                case "truncate":
                    await self._app(scope, receive, _Truncated(send))
                case "corrupt":
                    await self._app(scope, receive, _Corrupted(send))
                case _:
                    await _response(fault)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _response(fault: Fault) -> Response:
    match fault.kind:
        case "vanish":
            status = 404 if fault.status == 404 else 400
            return ZohoError("RESOURCE_NOT_FOUND", status=status, resource="").response()
        case "redirect":
            status = fault.status if 300 <= fault.status < 400 else 302
            return Response(b"", status, {"Location": fault.location, **fault.headers})
        case _:
            return Response(fault.content, fault.status, fault.all_headers)


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


async def _nowhere(_: Message) -> None:
    """Send nothing."""


class _Truncated:
    """Sends the headers and half of the body that they announce.

    uvicorn closes the connection if a body ends too early.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._left = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._left = _length(message) // 2
            await self._send(message)
        elif self._left > 0:
            part = message.get("body", b"")[: self._left]
            self._left -= len(part)
            await self._send({"type": "http.response.body", "body": part, "more_body": True})


class _Corrupted:
    """Sends the body with bytes flipped in its middle."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._at = 0
        self._middle = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._middle = _length(message) // 2
        else:
            body = bytearray(message.get("body", b""))
            place = self._middle - self._at
            self._at += len(body)
            if 0 <= place < len(body):
                for index in range(place, min(place + 4, len(body))):
                    body[index] ^= 0xFF
            message = {**message, "body": bytes(body)}
        await self._send(message)


def _length(start: Message) -> int:
    return next((int(value) for name, value in start["headers"] if name == b"content-length"), 0)


class Connections:
    """The open connections, so that one can be reset."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return an HTTP protocol class that registers its connections."""
        transports = self._transports

        class Watched(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                if self.client:
                    transports.pop(self.client, None)

        return Watched

    def abort(self, scope: Scope) -> None:
        """Reset the connection of a request without sending anything more."""
        transport = self._transports.get(tuple(scope["client"]))
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        # Without lingering, the client sees a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
