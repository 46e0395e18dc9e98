"""Receives Zoho's authorization response: by a redirect to 127.0.0.1, or from the terminal.

Invariant: only this machine can reach the server, it runs until one response has arrived, and
neither page nor log repeats what was sent to it.
"""

from __future__ import annotations

import html
import os
import queue
import sys
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from typing_extensions import override

from tap_zoho_bulk.exceptions import SignInError
from tap_zoho_bulk.login.consent import Grant, UnrelatedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zoho_bulk.login.consent import Consent

    Response = Grant | SignInError

HOST = "127.0.0.1"
PATH = "/callback"

_CONNECTION_TIMEOUT_SECONDS = 10
_MAX_LINE_BYTES = 1 << 14
_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>tap-zoho-bulk</title>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""


class Callback:
    """Waits for the response to a request for consent, by whichever way it arrives first.

    Args:
        consent: The request.
    """

    def __init__(self, consent: Consent) -> None:
        self._consent = consent
        self._first: queue.SimpleQueue[Response] = queue.SimpleQueue()

    def wait(self, seconds: float) -> Grant:
        """Wait for the response.

        Args:
            seconds: Maximum wait.

        Raises:
            SignInError: When consent was denied, or nothing came in time.
        """
        try:
            response = self._first.get(timeout=seconds)
        except queue.Empty:
            raise SignInError(
                f"No response arrived within {seconds:.0f} s. If Zoho's page said \"Invalid "
                f"Redirect Uri\", add {self._consent.redirect_uri} to the client's authorized "
                "redirect URIs in Zoho's API console; if it said that the client is invalid, check "
                "`client_id` and `data_center`. Then run the command again."
            ) from None
        if isinstance(response, SignInError):
            raise response
        return response

    @contextmanager
    def from_browser(self, port: int) -> Iterator[None]:
        """Accept the redirect of a browser on this machine, until the end of the block.

        Args:
            port: To listen on.

        Raises:
            SignInError: When the port is not available.
        """
        try:
            server = _RedirectServer(port, self._consent, self._first)
        except OSError as error:
            raise SignInError(
                f"Cannot listen on {HOST}:{port} ({error.strerror}). If something else uses the "
                "port, stop it, or choose another one with --port and add its redirect URI, "
                f"{redirect_uri('PORT')}, to the client in Zoho's API console."
            ) from error
        with server:
            thread = threading.Thread(target=server.serve_forever, args=(0.1,))
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def from_terminal(self, show: Callable[[str], None]) -> None:
        """Also accept lines from the terminal, on a thread that ends with the process.

        Args:
            show: Shows a line to the user.
        """
        # Not through `sys.stdin`: its lock would be held while Python shuts down.
        source = sys.stdin.fileno()
        threading.Thread(target=self._read_lines, args=(source, show), daemon=True).start()

    def _read_lines(self, source: int, show: Callable[[str], None]) -> None:
        while data := os.read(source, _MAX_LINE_BYTES):
            if line := data.decode(errors="replace").strip():
                try:
                    self._first.put(_parsed(self._consent.parse_pasted, line))
                except UnrelatedResponseError as error:
                    show(str(error))


def redirect_uri(port: int | str) -> str:
    """Return the URI to which Zoho redirects the browser. The client must have it registered.

    Args:
        port: That the server listens on.
    """
    return f"http://{HOST}:{port}{PATH}"


def _parsed(parse: Callable[[str], Grant], text: str) -> Response:
    """Return a response; a denial is also one."""
    try:
        return parse(text)
    except SignInError as denied:
        return denied


class _RedirectServer(ThreadingTCPServer):
    """One thread for each connection, as browsers open some that they do not use."""

    daemon_threads = True
    # Windows would let another process take the port as well.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int, consent: Consent, responses: queue.SimpleQueue[Response]) -> None:
        self.consent = consent
        self.responses = responses
        super().__init__((HOST, port), _RedirectHandler)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: a browser may hang up, and a traceback could contain a code."""


class _RedirectHandler(BaseHTTPRequestHandler):
    server: _RedirectServer
    timeout = _CONNECTION_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        """Accept Zoho's redirect."""
        parts = urlsplit(self.path)
        if parts.path != PATH:
            self._respond(
                HTTPStatus.NOT_FOUND, "Not found", "Zoho's response goes to another address."
            )
            return
        try:
            response = _parsed(self.server.consent.parse_redirect, parts.query)
        except UnrelatedResponseError as error:
            self._respond(HTTPStatus.BAD_REQUEST, "Not the expected response", str(error))
            return
        outcome = "Zoho's response has arrived." if isinstance(response, Grant) else str(response)
        self._respond(
            HTTPStatus.OK,
            "You can close this page",
            f"{outcome} Continue in the terminal.",
        )
        self.server.responses.put(response)  # Last, as the process may end then.

    def _respond(self, status: HTTPStatus, title: str, text: str) -> None:
        page = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Content-Security-Policy", "default-src 'none'"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)

    @override
    def version_string(self) -> str:
        return "tap-zoho-bulk-login"

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the path contains the code."""
