"""Requests to the admin API of a running server, for the commands."""

from __future__ import annotations

import json
import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

_TIMEOUT_SECONDS = 10
_PAUSE_SECONDS = 0.05


class CommandError(Exception):
    """A command that failed, with a message for the user."""


class AdminClient:
    """Talks to the server on a port of this machine.

    Args:
        port: The server's port.
        wait_seconds: How long to wait for a server that is still starting.
    """

    def __init__(self, port: int, *, wait_seconds: float = 0.0) -> None:
        self._port = port
        self._deadline = time.monotonic() + wait_seconds

    def config(self) -> dict[str, Any]:
        """Return the configuration for the tap."""
        return dict(self._send("GET", "config"))

    def modules(self) -> list[dict[str, Any]]:
        """Return the modules with their counts."""
        return list(self._send("GET", "modules"))

    def records(self, module: str) -> list[dict[str, str]]:
        """Return the newest records of a module."""
        return list(self._send("GET", _records(module)))

    def add(self, module: str, values: dict[str, str]) -> str:
        """Add a record and return its id."""
        return str(self._send("POST", _records(module), values)["id"])

    def change(self, module: str, record_id: str, values: dict[str, str]) -> None:
        """Change a record."""
        self._send("PATCH", _records(module, record_id), values)

    def delete(self, module: str, record_id: str, *, permanent: bool) -> None:
        """Delete a record."""
        query = "?permanent=true" if permanent else ""
        self._send("DELETE", _records(module, record_id) + query)

    def code(self, scopes: str | None) -> str:
        """Return a new grant code for a self client."""
        return str(self._send("POST", "codes", {"scopes": scopes})["code"])

    def _send(self, method: str, path: str, content: Any = None) -> Any:
        """Send a request and return the response's JSON, None without any.

        Raises:
            CommandError: The server does not respond, or refuses the request.
        """
        body = None if content is None else json.dumps(content).encode()
        with closing(self._connect()) as connection:
            try:
                connection.request(method, f"/_local/api/{path}", body)
                response = connection.getresponse()
                text = response.read()
            except (OSError, HTTPException) as error:
                raise CommandError(f"The server did not respond: {error!r}") from None
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise CommandError(_message(response.status, text))
        return json.loads(text or b"null")

    def _connect(self) -> HTTPConnection:
        while True:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
            try:
                connection.connect()
            except OSError as error:
                if time.monotonic() >= self._deadline:
                    raise CommandError(
                        f"No local Zoho CRM runs on port {self._port} ({error}). "
                        "Start it with `local-zoho-crm serve`."
                    ) from None
            else:
                return connection
            time.sleep(_PAUSE_SECONDS)


def _records(module: str, record_id: str | None = None) -> str:
    path = f"modules/{quote(module, safe='')}/records"
    return path if record_id is None else f"{path}/{quote(record_id, safe='')}"


def _message(status: int, text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"The server responded with HTTP {status}. Is it a local Zoho CRM?"
