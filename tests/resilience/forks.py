"""Start many runs of the tap's command line, several at once: the tests' side of `zygote.py`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.singer import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_RUN_SECONDS = 120
"""A run that takes longer fails its test."""


@dataclass(frozen=True)
class Ended:
    """The exit code of a run, and its stderr."""

    exit_code: int
    stderr: str


class ForkedTap:
    """One run of the tap, in its own process."""

    def __init__(self, stdout: int, stderr: int) -> None:
        self._stdout, self._stderr = stdout, stderr
        self._pid: int | None = None
        self._exit_code: int | None = None
        self._changed = threading.Condition()
        self._said: list[bytes] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Return the process id."""
        assert self._pid is not None
        return self._pid

    def read_lines(
        self, on_line: Callable[[bytes], bool], *, seconds: float = MAX_RUN_SECONDS
    ) -> Ended:
        """Pass on each complete line of stdout until the process has ended.

        Args:
            on_line: Called with a line; False closes the pipe, as if the target crashed.
            seconds: Time limit.
        """
        watchdog = threading.Timer(seconds, self.send_signal, [signal.SIGKILL])
        watchdog.start()
        try:
            with os.fdopen(self._stdout, "rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break  # Only a killed process leaves an incomplete line.
                    if not on_line(line):
                        break
            self._listener.join()
            with self._changed:
                self._changed.wait_for(lambda: self._exit_code is not None)
        finally:
            in_time = watchdog.is_alive()
            watchdog.cancel()
        stderr = b"".join(self._said).decode()
        assert in_time, f"the tap hung; it said:\n{stderr[-5000:]}"
        assert self._exit_code is not None
        return Ended(self._exit_code, stderr)

    def send_signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, unless the process has ended."""
        with self._changed:
            if self._pid is not None and self._exit_code is None:
                os.kill(self._pid, number)

    def note(self, *, pid: int | None = None, exit_code: int | None = None) -> None:
        """Record a change of the process."""
        with self._changed:
            self._pid = pid or self._pid
            self._exit_code = exit_code
            self._changed.notify_all()

    def wait_until_started(self) -> None:
        """Wait until the process has started."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: self._pid is not None or self._exit_code is not None, MAX_RUN_SECONDS
            )
            assert self._pid is not None, "the tap cannot be started"

    def _listen(self) -> None:
        with os.fdopen(self._stderr, "rb") as stream:
            self._said += list(stream)


class TapForks:
    """Starts runs of the tap."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TAP_ZOHO_")
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.resilience.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        self._lock = threading.Lock()
        self._orders = 0
        self._ordered: dict[int, ForkedTap] = {}
        self._running: dict[int, ForkedTap] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(
        self,
        config: Mapping[str, Any],
        *flags: str,
        catalog: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        leaves_before: str | None = None,
    ) -> ForkedTap:
        """Start a run with files that contain these values.

        If the output is to contain `leaves_before`, nothing reads it, and its reader leaves then.
        """
        with self._lock:
            self._orders += 1
            order = self._orders
        arguments = list(flags)
        for option, content in (("config", config), ("catalog", catalog), ("state", state)):
            if content is not None:
                file = self._directory / f"{order}-{option}.json"
                file.write_text(json.dumps(content), encoding="utf-8")
                arguments += [f"--{option}", str(file)]
        return self._start(
            order,
            {
                "arguments": arguments,
                "environment": dict(environment or {}),
                "leaves_before": leaves_before,
            },
        )

    def _start(self, order: int, message: Mapping[str, Any]) -> ForkedTap:
        stdout, their_stdout = os.pipe()
        stderr, their_stderr = os.pipe()
        tap = ForkedTap(stdout, stderr)
        content = json.dumps({"order": order, **message}).encode()
        with self._lock:
            self._ordered[order] = tap
            socket.send_fds(self._control, [content], [their_stdout, their_stderr])
        os.close(their_stdout)
        os.close(their_stderr)
        tap.wait_until_started()
        return tap

    def close(self) -> None:
        """Kill the runs that still run."""
        with self._lock:
            running = list(self._running.values())
        for tap in running:
            tap.send_signal(signal.SIGKILL)
        self._control.shutdown(socket.SHUT_RDWR)
        self._process.wait(MAX_RUN_SECONDS)
        self._listener.join()
        self._control.close()

    def _listen(self) -> None:
        while message := self._control.recv(1 << 16):
            news = json.loads(message)
            with self._lock:
                if "order" in news:
                    tap = self._running[news["pid"]] = self._ordered.pop(news["order"])
                    tap.note(pid=news["pid"])
                else:
                    self._running.pop(news["pid"]).note(exit_code=news["exit_code"])
        with self._lock:
            for tap in [*self._ordered.values(), *self._running.values()]:
                tap.note(exit_code=1)  # The zygote has ended, and has printed why.
