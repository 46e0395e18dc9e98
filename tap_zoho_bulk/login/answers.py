"""Where Zoho's answer comes in: a server on 127.0.0.1 for one redirect, and the terminal.

Invariant: only this machine can reach the server, it lives until one answer is in, and neither
page nor log repeats what was sent to it.
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
from tap_zoho_bulk.login.consent import Grant, NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zoho_bulk.login.consent import Consent

    Answer = Grant | SignInError

HOST = "127.0.0.1"
PATH = "/callback"

_CONNECTION_SECONDS = 10
_LINE_BYTES = 1 << 14
_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>tap-zoho-bulk</title>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""


class Answers:
    """Waits for one answer to a request for consent, wherever it comes from first.

    Args:
        consent: The request.
    """

    def __init__(self, consent: Consent) -> None:
        self._consent = consent
        self._first: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def wait(self, seconds: float) -> Grant:
        """Wait for the first answer.

        Args:
            seconds: How long, at most.

        Raises:
            SignInError: When consent was denied, or nothing came in time.
        """
        try:
            answer = self._first.get(timeout=seconds)
        except queue.Empty:
            raise SignInError(
                f"No answer came within {seconds:.0f} s. If Zoho's page said \"Invalid Redirect "
                f"Uri\", add {self._consent.redirect_uri} to the client's authorized redirect "
                "URIs in Zoho's API console; if it said that the client is invalid, check "
                "`client_id` and `data_center`. Then run the command again."
            ) from None
        if isinstance(answer, SignInError):
            raise answer
        return answer

    @contextmanager
    def from_browser(self, port: int) -> Iterator[None]:
        """Take the redirect of a browser on this machine, until the end of the block.

        Args:
            port: Where to listen.

        Raises:
            SignInError: When the port cannot be had.
        """
        try:
            server = _RedirectServer(port, self._consent, self._first)
        except OSError as error:
            raise SignInError(
                f"Cannot listen on {HOST}:{port} ({error.strerror}). If something else uses the "
                "port, end it, or choose another one with --port and add its redirect URI, "
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

    def from_terminal(self, tell: Callable[[str], None]) -> None:
        """Take lines of the terminal as well, on a thread that ends with the process.

        Args:
            tell: Shows a line to the person.
        """
        # Not through `sys.stdin`: its lock would be held while Python ends.
        source = sys.stdin.fileno()
        threading.Thread(target=self._read_lines, args=(source, tell), daemon=True).start()

    def _read_lines(self, source: int, tell: Callable[[str], None]) -> None:
        while data := os.read(source, _LINE_BYTES):
            if line := data.decode(errors="replace").strip():
                try:
                    self._first.put(_understood(self._consent.read_pasted, line))
                except NoAnswerError as error:
                    tell(str(error))


def redirect_uri(port: int | str) -> str:
    """Give the URI to which Zoho sends the browser, as the client must have it registered.

    Args:
        port: Where the server listens.
    """
    return f"http://{HOST}:{port}{PATH}"


def _understood(read: Callable[[str], Grant], text: str) -> Answer:
    """Read an answer; a denial is one, too."""
    try:
        return read(text)
    except SignInError as denied:
        return denied


class _RedirectServer(ThreadingTCPServer):
    """One thread for each connection, as browsers open some that they do not use."""

    daemon_threads = True
    # Windows would let another process take the port as well.
    allow_reuse_address = os.name == "posix"

    def __init__(self, port: int, consent: Consent, answers: queue.SimpleQueue[Answer]) -> None:
        self.consent = consent
        self.answers = answers
        super().__init__((HOST, port), _RedirectHandler)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that hangs up is no trouble, and a traceback could hold a code."""


class _RedirectHandler(BaseHTTPRequestHandler):
    server: _RedirectServer
    timeout = _CONNECTION_SECONDS

    def do_GET(self) -> None:
        """Take Zoho's redirect."""
        parts = urlsplit(self.path)
        if parts.path != PATH:
            self._respond(
                HTTPStatus.NOT_FOUND, "Nothing is here", "Zoho's answer goes to another address."
            )
            return
        try:
            answer = _understood(self.server.consent.read, parts.query)
        except NoAnswerError as error:
            self._respond(HTTPStatus.BAD_REQUEST, "Not the answer that is waited for", str(error))
            return
        told = "Zoho's answer has arrived." if isinstance(answer, Grant) else str(answer)
        self._respond(
            HTTPStatus.OK, "You can close this page", f"{told} The terminal shows how it goes on."
        )
        self.server.answers.put(answer)  # Last, as the process may end then.

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
        """Log nothing: the path holds the code."""
