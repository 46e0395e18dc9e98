"""Secrets reach only trusted hosts, and hostile responses and ZIPs do no harm."""

from __future__ import annotations

import io
import json
import signal
import ssl
import struct
import threading
import time
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, ZohoServer
from tap_zoho_bulk.exceptions import ExitCode
from tests.resilience.forks import NAMED_ERRORS
from tests.resilience.trap import Trap
from tests.resilience.watch import Watch
from tests.support.http_server import serving
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_zoho_crm import LoggedRequest, Organisation
    from tests.resilience.forks import Ended, TapForks

MB = 1 << 20
DEBUG = {"LOGLEVEL": "DEBUG", "TAP_ZOHO_BULK_LOGLEVEL": "DEBUG"}
SELF_SIGNED = Path(__file__).parent / "selfsigned.pem"
RESULT = r"/read/\d+/result$"


@pytest.fixture
def organisation() -> Organisation:
    return small_organisation({"Orders": 12})


def said(ended: Ended, printed: list[bytes]) -> str:
    return ended.stderr + b"".join(printed).decode()


def assert_no_secret(server: ZohoServer, text: str) -> None:
    for secret in server.secrets:
        assert secret not in text, f"a secret got out: {secret}"


# Responses that repeat the request


def echo(server: ZohoServer, form: str) -> dict[str, Any]:
    """Return a refusal that contains all secrets, as a careless gateway might send."""
    told = " ".join(server.secrets)
    bodies: dict[str, dict[str, Any]] = {
        "message": {"code": "X", "message": told, "details": {}, "status": "error"},
        "code": {"code": told, "message": "y", "details": {}, "status": "error"},
        "details": {
            "code": "X",
            "message": "y",
            "details": {"sent": {"headers": [told]}, told: 1},
            "status": "error",
        },
        "error": {"error": told, "error_description": told},
    }
    return bodies[form]


@pytest.mark.parametrize("form", ["message", "code", "details", "error"])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
@pytest.mark.parametrize(
    "path", [r"/oauth/", r"/settings/modules$", r"/read$", r"/read/\d+$", RESULT, r"/deleted$"]
)
def test_answers_that_repeat_secrets_are_not_repeated(
    forks: TapForks, organisation: Organisation, path: str, status: int, form: str
) -> None:
    printed: list[bytes] = []

    def take(line: bytes) -> bool:
        printed.append(line)
        return True

    with ZohoServer(organisation, page_size=5, tokens_per_ten_minutes=None) as server:

        def arm(request: LoggedRequest) -> None:
            # The token is known only once it was issued.
            if "/oauth/" in path or "/oauth/" not in request.path:
                server.on_request = None
                fault = Fault(status=status, body=echo(server, form), path=path, times=None)
                server.faults.add(fault)

        server.on_request = arm
        ended = forks.start(
            server.tap_config(**{**QUICK, "max_retries": 0, "job_timeout_seconds": 1}),
            environment=DEBUG,
        ).read_lines(take)

        assert_no_secret(server, said(ended, printed))
        if "deleted" not in path or status != 400:  # 400: Zoho keeps no such list
            assert ended.exit_code in NAMED_ERRORS


def test_a_job_that_fails_with_secrets_does_not_tell_them(
    forks: TapForks, organisation: Organisation
) -> None:
    with ZohoServer(organisation) as server:
        told = " ".join(server.secrets)
        error = {"code": told, "message": told, "details": {told: told}, "status": "error"}
        server.faults.add(Fault(kind="job_failure", error=error, times=None))
        ended = forks.start(
            server.tap_config(**QUICK), catalog=catalog(organisation), environment=DEBUG
        ).read_lines(lambda _: True)

        assert ended.exit_code == ExitCode.TRY_AGAIN_LATER
        assert "FAILURE" in ended.stderr
        assert_no_secret(server, ended.stderr)


# Other hosts


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "path", [r"/oauth/", r"/settings/modules$", r"/read$", r"/read/\d+$", RESULT]
)
def test_no_redirect_is_followed(
    forks: TapForks, organisation: Organisation, path: str, status: int
) -> None:
    with Trap() as trap, ZohoServer(organisation) as server:
        location = f"{trap.url}/crm/bulk/v8/read/1/result"
        server.faults.add(
            Fault(kind="redirect", status=status, location=location, path=path, times=None)
        )
        ended = forks.start(server.tap_config(**QUICK)).read_lines(lambda _: True)

        assert ended.exit_code in NAMED_ERRORS
        assert f"HTTP_{status}" in ended.stderr
        assert not trap.received


@pytest.mark.parametrize(
    "form",
    [
        "{trap}/crm/bulk/v8/read/{{job_id}}/result",
        "//{host}/crm/bulk/v8/read/{{job_id}}/result",
        "///{host}/crm/bulk/v8/read/{{job_id}}/result",
        "http://user:password@{host}/crm/bulk/v8/read/{{job_id}}/result",
        "\\\\{host}\\crm",
        "@{host}/",
        ".{host}/",
        ":80@{host}/",
        "http://[::1",
        "http://{host}:port/",
        "file:///etc/passwd",
    ],
)
def test_no_download_url_leads_elsewhere(
    forks: TapForks, organisation: Organisation, form: str
) -> None:
    target = UpsertingTarget()
    with Trap() as trap, ZohoServer(organisation, page_size=5) as server:
        location = form.format(trap=trap.url, host=trap.url.removeprefix("http://"))
        server.faults.add(Fault(kind="download_url", location=location, times=None))
        ended = forks.start(
            server.tap_config(**{**QUICK, "max_retries": 0}), catalog=catalog(organisation)
        ).read_lines(lambda line: bool(target.take(line)))

        assert not trap.received
        if ended.exit_code == 0:
            assert target.by_id("Orders") == organisation.truth("Orders")
        else:
            assert "Traceback" not in ended.stderr
            assert "Orders" in ended.stderr


class _TokenHandler(BaseHTTPRequestHandler):
    """Responds to any request with a token, and keeps the request's body."""

    def __init__(self, received: list[bytes], *arguments: Any) -> None:
        self._received = received
        super().__init__(*arguments)

    def do_POST(self) -> None:
        """Respond with a token."""
        body = json.dumps({"access_token": "t", "expires_in": 3600}).encode()
        self._received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def self_signed_host() -> Iterator[tuple[str, list[bytes]]]:
    """Serve with a self-signed certificate; yield the URL, and the bodies received."""
    received: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    with serving(partial(_TokenHandler, received), tls=context) as url:
        yield url, received


def test_a_certificate_that_nobody_vouches_for_is_refused(
    forks: TapForks, organisation: Organisation
) -> None:
    with ZohoServer(organisation) as server, self_signed_host() as (url, asked):
        began = time.monotonic()
        refused = forks.start(
            {**server.tap_config(**{**QUICK, "max_retries": 8}), "accounts_url": url}, "--test"
        ).read_lines(lambda _: True)
        took = time.monotonic() - began
        assert not asked
        # The error's advice works.
        trusted = forks.start(
            {**server.tap_config(**{**QUICK, "max_retries": 0}), "accounts_url": url},
            "--test",
            environment={"REQUESTS_CA_BUNDLE": str(SELF_SIGNED)},
        ).read_lines(lambda _: True)

        assert refused.exit_code == ExitCode.FIX_FIRST
        assert f"The certificate of {url} is not trusted" in refused.stderr
        assert "REQUESTS_CA_BUNDLE" in refused.stderr
        assert "Attempt" not in refused.stderr  # A retry would fail again.
        assert took < 60
        assert trusted.exit_code == ExitCode.FIX_FIRST  # the API host did not issue the token
        assert len(asked) >= 1
        assert_no_secret(server, refused.stderr + trusted.stderr)


# ZIPs

HEADER = b"Id,Name,Amount,Notes,Modified_Time\r\n"
ROW = b"1,a,1,b,2026-01-01T00:00:00+00:00\r\n"


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def bomb(before: bytes, filling: bytes, size: int) -> bytes:
    """Return a ZIP that expands to a gigabyte or so."""
    file = io.BytesIO()
    piece = filling * (MB // len(filling))
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("1.csv", "w", force_zip64=True) as entry,
    ):
        entry.write(before)
        for _ in range(size // len(piece)):
            entry.write(piece)
    return file.getvalue()


def encrypted() -> bytes:
    """Return a ZIP that is marked as encrypted."""
    file = bytearray(zipped(("1.csv", HEADER + ROW)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        file[file.index(signature) + offset] |= 1
    return bytes(file)


def endless_directory() -> bytes:
    """Return a ZIP whose directory lists half a million missing files."""
    name = b"1.csv"
    entry = struct.pack(
        "<4sHHHHHHLLLHHHHHLL", b"PK\x01\x02", *[20] * 2, *[0] * 4, *[0] * 3, len(name), *[0] * 6
    )
    count = 500_000
    directory = (entry + name) * count
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)
    return directory + end


HOSTILE: dict[str, Callable[[], bytes]] = {
    "no file": zipped,
    "two files": lambda: zipped(("1.csv", HEADER + ROW), ("2.csv", HEADER + ROW)),
    "ten thousand files": lambda: zipped(*[(f"{n}.csv", b"") for n in range(10_000)]),
    "an endless directory": endless_directory,
    "another kind of file": lambda: zipped(("1.exe", HEADER + ROW)),
    "an absolute path": lambda: zipped(("/etc/cron.d/1.csv", HEADER + ROW)),
    "a path upwards": lambda: zipped(("../../1.csv", HEADER + ROW)),
    "a Windows path": lambda: zipped(("C:\\1.csv", HEADER + ROW)),
    "a folder": lambda: zipped(("a.csv/", b"")),
    "encrypted": encrypted,
    "an unusual compression": lambda: zipped(("1.csv", HEADER + ROW), method=zipfile.ZIP_LZMA),
    "one endless cell": lambda: bomb(HEADER + b'1,"', b"a", 1000 * MB),
    "one endless row": lambda: bomb(HEADER, b"a,", 1000 * MB),
    "one endless header": lambda: bomb(b"", b"a,", 1000 * MB),
    "endless empty lines": lambda: bomb(HEADER + ROW, b"\n", 1000 * MB),
    "endless rows": lambda: bomb(HEADER, ROW, 400 * MB),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_zips_are_refused_within_bounds(
    forks: TapForks, organisation: Organisation, tmp_path: Path, kind: str
) -> None:
    hostile = HOSTILE[kind]()
    printed = 0

    def take(line: bytes) -> bool:
        nonlocal printed
        printed += len(line)
        return True

    with ZohoServer(organisation) as server:
        server.faults.add(
            Fault(
                status=200,
                body=hostile,
                headers={"Content-Type": "application/x-download"},
                path=RESULT,
                times=None,
            )
        )
        tap = forks.start(
            server.tap_config(**QUICK, spool_directory=str(tmp_path)),
            catalog=catalog(organisation),
        )
        with Watch(tap.pid) as watch:
            ended = tap.read_lines(take)

    assert ended.exit_code == ExitCode.TRY_AGAIN_LATER
    assert [
        line for line in ended.stderr.split("\n") if "| ERROR" in line and "Orders: page 1" in line
    ]
    assert "Traceback" not in ended.stderr
    assert watch.most.rss < 300 * MB, f"{watch.most.rss / MB:.0f} MB"
    assert printed < 20 * MB
    assert not list(tmp_path.iterdir())


# The spool


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_spooled_pages_have_no_name_and_do_not_outlive_the_tap(
    forks: TapForks, tmp_path: Path, number: int
) -> None:
    organisation = small_organisation({"Orders": 40, "Visits": 40})
    held, go_on = threading.Event(), threading.Event()
    downloads = 0

    def hold(request: LoggedRequest) -> None:
        nonlocal downloads
        downloads += request.path.endswith("/result")
        if downloads == 4:
            held.set()
            go_on.wait(60)

    with ZohoServer(organisation, page_size=5) as server:
        server.on_request = hold
        tap = forks.start(
            server.tap_config(**QUICK, spool_directory=str(tmp_path)),
            catalog=catalog(organisation),
        )
        ends: list[Ended] = []
        reader = threading.Thread(target=lambda: ends.append(tap.read_lines(lambda _: True)))
        reader.start()
        assert held.wait(60)

        # Several pages are on disk now, and no other user can open one.
        spooled = [
            link
            for link in (str(each.readlink()) for each in Path(f"/proc/{tap.pid}/fd").iterdir())
            if link.startswith(str(tmp_path))
        ]
        assert spooled
        assert all(link.endswith("(deleted)") for link in spooled)
        assert not list(tmp_path.iterdir())

        tap.send_signal(number)
        reader.join(60)
        go_on.set()
        assert ends
        assert ends[0].exit_code != 0
        assert not list(tmp_path.iterdir())


def test_a_spool_directory_that_is_not_there_is_told(
    forks: TapForks, organisation: Organisation, tmp_path: Path
) -> None:
    with ZohoServer(organisation) as server:
        ended = forks.start(
            server.tap_config(**QUICK, spool_directory=str(tmp_path / "missing")),
            catalog=catalog(organisation),
        ).read_lines(lambda _: True)

    assert ended.exit_code == ExitCode.FIX_FIRST
    assert "spool_directory" in ended.stderr
    assert "Traceback" not in ended.stderr
