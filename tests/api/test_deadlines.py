"""A request ends in time, wherever in a response a server sends one byte after another."""

from __future__ import annotations

import gzip
import ssl
import time
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from socketserver import StreamRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_zoho_bulk.api.transport import TransientError, Transport
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.http_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.singer import TapCommand

SELF_SIGNED = Path(__file__).parents[1] / "resilience" / "selfsigned.pem"
TIMEOUT_SECONDS = 0.3
PAUSE_SECONDS = 0.02
MAX_BYTES = 500
"""A test that fails ends after these, and does not hang."""

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIPPED = OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10]
LONG = OK + b"Content-Length: 1000000\r\n\r\n"
ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "headers": (OK + b"A: ", b"b"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunk sizes": (CHUNKED, b"0"),
    "chunks": (CHUNKED, b"1\r\n \r\n"),
    "trailers": (CHUNKED + b"0\r\nA: ", b"b"),
    "gzip that expands to nothing": (GZIPPED, b"\x00\x00\x00\xff\xff"),
    "body": (LONG, b" "),
}
"""Where the bytes drip: what comes at once, and what comes byte by byte after that."""


class _Drip(StreamRequestHandler):
    """Responds with some bytes at once, and then with one after another."""

    def __init__(self, at_once: bytes, dripping: bytes, *arguments: Any) -> None:
        self._at_once, self._dripping = at_once, dripping
        super().__init__(*arguments)

    def handle(self) -> None:
        """Respond to one request."""
        while self.rfile.readline().strip():
            pass
        self.drip()

    def drip(self) -> None:
        """Send all bytes."""
        try:
            self.wfile.write(self._at_once)
            for byte in islice(cycle(self._dripping), MAX_BYTES):
                time.sleep(PAUSE_SECONDS)
                self.wfile.write(bytes([byte]))
        except OSError:
            pass  # The client has closed the connection.


@contextmanager
def transport() -> Iterator[Transport]:
    made = Transport(timeout=TIMEOUT_SECONDS, max_retries=0, max_concurrent_requests=1)
    yield made
    made.close()


def read(url: str) -> bytes:
    with transport() as made, made.send(requests.Request("GET", url)) as response:
        return made.read_text(response, limit=1 << 20)


@pytest.mark.parametrize("where", ENDLESS)
def test_bytes_that_drip_end_a_request_in_time(where: str) -> None:
    with serving(partial(_Drip, *ENDLESS[where])) as url, pytest.raises(TransientError) as raised:
        read(url)

    assert "in time" in str(raised.value)


def test_encrypted_bytes_that_drip_end_a_request_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(SELF_SIGNED))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SELF_SIGNED)

    with (
        serving(partial(_Drip, *ENDLESS["headers"]), tls=tls) as url,
        pytest.raises(TransientError, match="in time"),
    ):
        read(url)


def test_a_tls_handshake_that_drips_ends_a_request_in_time() -> None:
    record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\x00" + bytes(100)
    with serving(partial(_Greet, b"", record)) as url, pytest.raises(TransientError) as raised:
        read(url.replace("http:", "https:"))

    assert "in time" in str(raised.value)


def test_a_proxys_bytes_that_drip_end_a_request_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(partial(_Drip, *ENDLESS["headers"])) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(TransientError, match="in time"):
            read("https://www.zohoapis.example/crm/v8/org")


def test_a_download_may_take_longer_while_data_keeps_coming() -> None:
    body = OK + b"Content-Length: 25\r\n\r\n"
    with (
        serving(partial(_Drip, body, b"x")) as url,
        transport() as made,
        made.send(requests.Request("GET", url)) as response,
    ):
        began = time.monotonic()
        assert b"".join(made.chunks(response, seconds=60)) == b"x" * 25
        assert time.monotonic() - began > TIMEOUT_SECONDS


@pytest.mark.parametrize(
    ("at_once", "dripping", "seconds"),
    [(LONG, b"x", TIMEOUT_SECONDS), (LONG + b"half", b"", 60)],
    ids=["too slow", "stalled"],
)
def test_a_download_ends_in_time(at_once: bytes, dripping: bytes, seconds: float) -> None:
    with (
        serving(partial(_Hold if not dripping else _Drip, at_once, dripping)) as url,
        transport() as made,
        pytest.raises(TransientError, match="incomplete in time"),
        made.send(requests.Request("GET", url)) as response,
    ):
        list(made.chunks(response, seconds=seconds))


class _Greet(_Drip):
    """Sends its bytes before it has received a request."""

    def handle(self) -> None:
        """Respond to one connection."""
        self.drip()


class _Hold(_Drip):
    """Responds with some bytes, and then waits until the client closes the connection."""

    def handle(self) -> None:
        """Respond to one request."""
        super().handle()
        self.rfile.read()


def test_signing_in_is_tried_again_and_the_error_names_what_happened(tap: TapCommand) -> None:
    with serving(partial(_Drip, *ENDLESS["headers"])) as url:
        secrets = {"client_id": "1000.ID", "client_secret": "s3cret", "refresh_token": "1000.r"}
        limits = {"request_timeout_seconds": TIMEOUT_SECONDS, "max_retries": 1}
        run = tap.start({**secrets, **limits, "accounts_url": url}, "--test").finish()

    assert run.exit_code == ExitCode.TRY_AGAIN_LATER
    assert run.line("sign in", "2 attempts", "no response in time", "`request_timeout_seconds`")
    assert "Traceback" not in run.stderr
