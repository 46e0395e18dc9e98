"""Programs, started fast: the side of `zygote.py` that orders."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 60


def inherited(*foreign: str) -> dict[str, str]:
    """Return this process's variables but those that begin so."""
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


class Running:
    """A process that runs a program, with what `subprocess.Popen` offers."""

    def __init__(self, arguments: Sequence[str], pipes: Sequence[IO[bytes]]) -> None:
        self.stdout: IO[bytes] | None
        self.stderr: IO[bytes] | None
        self.stdout, self.stderr = pipes or (None, None)
        self._arguments = arguments
        self._pid: int | None = None
        self._exit_code: int | None = None
        self._changed = threading.Condition()

    @property
    def pid(self) -> int:
        """Return the process id."""
        assert self._pid is not None
        return self._pid

    def note(self, *, pid: int | None = None, exit_code: int | None = None) -> None:
        """Record a change of the process."""
        with self._changed:
            self._pid = pid or self._pid
            self._exit_code = exit_code
            self._changed.notify_all()

    def wait_until_started(self) -> None:
        """Wait until the process has started."""
        with self._changed:
            self._changed.wait_for(lambda: self._pid or self._exit_code, _START_SECONDS)
            assert self._pid is not None, "the program cannot be started"

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        with self._changed:
            return self._exit_code

    def wait(self, seconds: float | None = None) -> int:
        """Wait until the process has ended, and return its exit code."""
        with self._changed:
            self._changed.wait_for(lambda: self._exit_code is not None, seconds)
            if self._exit_code is None:
                raise subprocess.TimeoutExpired(self._arguments, seconds or 0)
            return self._exit_code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        with self._changed:
            if self._pid is not None and self._exit_code is None:
                with suppress(ProcessLookupError):  # It has just ended.
                    os.kill(self._pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Program:
    """Starts processes that run a program. Its imports are paid for once.

    Args:
        name: Of the command.
        main: Its function, such as `package.module:main`.
    """

    def __init__(self, name: str, main: str) -> None:
        self._name = name
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.zygote", str(theirs.fileno()), main],
                pass_fds=[theirs.fileno()],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
            )
        self._lock = threading.Lock()
        self._orders = 0
        self._ordered: dict[int, Running] = {}
        self._running: dict[int, Running] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        directory: Path = _ROOT,
        outputs: tuple[int, int] | None = None,
        leaves_before: str | None = None,
    ) -> Running:
        """Start a process.

        If the output is to contain `leaves_before`, nothing reads it, and its reader leaves then.

        Args:
            arguments: Of the command line.
            environment: All variables.
            directory: Where it runs.
            outputs: Where its stdout and stderr go; None for pipes.
            leaves_before: A text.
        """
        pipes = [os.pipe(), os.pipe()] if outputs is None else []
        process = Running(arguments, [os.fdopen(ours, "rb") for ours, _ in pipes])
        theirs = outputs or [end for _, end in pipes]
        with self._lock:
            self._orders += 1
            self._ordered[self._orders] = process
            order = {
                "order": self._orders,
                "command": [self._name, *arguments],
                "environment": dict(environment),
                "directory": str(directory),
                "leaves_before": leaves_before,
            }
            socket.send_fds(self._control, [json.dumps(order).encode()], theirs)
        for _, end in pipes:
            os.close(end)
        process.wait_until_started()
        return process

    def close(self) -> None:
        """Kill the processes that still run."""
        with self._lock:
            running = list(self._running.values())
        for process in running:
            process.kill()
        self._control.shutdown(socket.SHUT_RDWR)
        self._process.wait(_START_SECONDS)
        self._listener.join()
        self._control.close()

    def _listen(self) -> None:
        while message := self._control.recv(1 << 16):
            news = json.loads(message)
            with self._lock:
                if "order" in news:
                    process = self._running[news["pid"]] = self._ordered.pop(news["order"])
                    process.note(pid=news["pid"])
                else:
                    self._running.pop(news["pid"]).note(exit_code=news["exit_code"])
        with self._lock:
            for process in [*self._ordered.values(), *self._running.values()]:
                process.note(exit_code=1)  # The zygote has ended, and has printed why.
