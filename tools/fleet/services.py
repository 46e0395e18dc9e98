"""What Airflow needs on this machine: ports, and a Redis server that may be killed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_START_SECONDS = 20.0
_POLL_SECONDS = 0.2


class GivenUpError(Exception):
    """What was waited for has not come."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(what: str, holds: Callable[[], object], seconds: float) -> None:
    """Wait until something holds.

    Args:
        what: What it is, for the error.
        holds: Whether it holds.
        seconds: How long to wait for it.

    Raises:
        GivenUpError: If it does not hold by then.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise GivenUpError(f"After {seconds:.0f} s, this was not so: {what}.")
        time.sleep(_POLL_SECONDS)


class Redis:
    """A Redis server, which appends each change to a file.

    Args:
        directory: For its files.
    """

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError(
                "redis-server is missing. Install it, on Debian: apt-get install redis-server."
            )
        self.directory = directory
        self._port = free_port()
        self._command = [program, "--bind", "127.0.0.1", "--port", str(self._port)]
        self._command += ["--dir", str(directory), "--appendonly", "yes"]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        directory.mkdir()

    @property
    def pid(self) -> int:
        """Its process's id."""
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self.directory / "redis.log").open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until("Redis listens", self._listens, _START_SECONDS)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self._port)) == 0
