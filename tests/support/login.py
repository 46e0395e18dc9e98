"""Run `tap-zoho-bulk-login` as users do: as a subprocess, with or without a terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tap_zoho_bulk.crm.scopes import SCOPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_zoho_crm import ZohoServer
    from tests.support.singer import TapCommand

SCRIPT = Path(sysconfig.get_path("scripts")) / "tap-zoho-bulk-login"
SECONDS = 30
ALL_SCOPES = [scope.name for scope in SCOPES]
_OF_THE_MACHINE = ("TAP_ZOHO_", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_", "HTTP", "http")


@dataclass(frozen=True)
class LoginRun:
    """The output of a run; `shown` is stderr, including what a terminal echoes."""

    exit_code: int
    stdout: str
    shown: str


class RunningLogin:
    """The command in a subprocess.

    Args:
        arguments: Of the command.
        environment: Variables beside the machine's own.
        stdin: What is piped into it; None for nothing.
        terminal: Whether a terminal takes the place of stdin and stderr.
    """

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        stdin: str | None = None,
        terminal: bool = False,
    ) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OF_THE_MACHINE)
        }
        self._changed = threading.Condition()
        self._shown = ""
        self._ended = False
        if terminal:
            self._screen, inside = pty.openpty()
        else:
            self._screen, inside = os.pipe()
        self._process = subprocess.Popen(
            [SCRIPT, *arguments],
            env={**inherited, **environment},
            stdin=inside if terminal else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=inside,
            start_new_session=True,  # so that it finds no other terminal
            text=True,
        )
        os.close(inside)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if self._process.stdin is not None:
            self._process.stdin.write(stdin or "")
            self._process.stdin.close()
            self._process.stdin = None

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._screen, 1 << 16)
            except OSError:  # Linux reports the end of a terminal as an error.
                data = b""
            with self._changed:
                self._shown += data.decode().replace("\r\n", "\n")
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    def wait_for(self, pattern: str) -> str:
        """Wait until the command has shown this, and return the match."""
        with self._changed:
            self._changed.wait_for(
                lambda: re.search(pattern, self._shown) or self._ended, timeout=SECONDS
            )
            match = re.search(pattern, self._shown)
        assert match, f"it does not show {pattern}:\n{self._shown}"
        return match[0]

    def consent_url(self) -> str:
        """Wait until the command has shown the URL of Zoho's consent page, and return it."""
        return self.wait_for(r"https?://\S+/oauth/v2/auth\?\S+(?=\n)")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def type(self, text: str) -> None:
        """Type into the terminal."""
        os.write(self._screen, text.encode())

    def end(self) -> LoginRun:
        """Wait until the command has ended, and return its output."""
        try:
            stdout, _ = self._process.communicate(timeout=SECONDS)
            self._reader.join(SECONDS)
        finally:
            self.close()
        return LoginRun(self._process.returncode, stdout, self._shown)

    def close(self) -> None:
        """Kill the command if it still runs."""
        self._process.kill()
        self._process.wait()
        self._reader.join(SECONDS)
        if self._screen >= 0:
            os.close(self._screen)
            self._screen = -1
        if self._process.stdout is not None:
            self._process.stdout.close()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def redirect_uri(port: int) -> str:
    """Return the URL to which Zoho redirects the browser."""
    return f"http://127.0.0.1:{port}/callback"


def start_login(
    server: ZohoServer,
    port: int,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    terminal: bool = False,
) -> RunningLogin:
    """Start the command against a server; an empty environment variable counts as unset."""
    variables = {
        "TAP_ZOHO_BULK_CLIENT_ID": server.desk.client_id,
        "TAP_ZOHO_BULK_CLIENT_SECRET": server.desk.client_secret,
        "TAP_ZOHO_BULK_ACCOUNTS_URL": server.url,
        "TAP_ZOHO_BULK_API_URL": server.url,
        **(environment or {}),
    }
    return RunningLogin(
        "--port",
        str(port),
        *arguments,
        environment={name: value for name, value in variables.items() if value},
        stdin=stdin,
        terminal=terminal,
    )


def ended(server: ZohoServer, running: RunningLogin, *, typed: str = "") -> LoginRun:
    """Wait until the command has ended, and check that it leaked no secret."""
    run = running.end()
    for secret in server.secrets:
        assert secret not in run.shown or secret in typed, f"a secret is shown:\n{run.shown}"
        belongs = secret == server.desk.client_secret or "refresh" in secret
        assert secret not in run.stdout or belongs, f"a secret is in stdout:\n{run.stdout}"
    assert "Traceback" not in run.shown
    return run


def token_requests(server: ZohoServer) -> list[dict[str, str]]:
    """Return the forms of all token requests."""
    return [
        dict(parse_qsl(request.body.decode()))
        for request in server.requests_matching("POST", "/oauth/v2/token")
    ]


def assert_connects(tap: TapCommand, server: ZohoServer, config: Path) -> None:
    """Check that the tap connects with this config."""
    running = tap.start(None, "--config", str(config), "--test")
    assert "Connected to" in tap.finish(running, server).stderr
