"""The process that starts tap and loader, and ends them when the run's lease ends.

It is a process of its own, so tap and loader end on time even if the run's process is paused or
killed. They are killed when

- the lease has not been renewed in time,
- the run's process has ended, however that came about,
- or they still run after the grace period of a stop.

Killed with them is what they have started, as a command such as `uv run` is only the parent of the
program. If the guard itself is killed, the kernel kills tap and loader.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_READ_BYTES = 1 << 12
_MAX_WAIT_SECONDS = 1.0
"""Waiting does not count the time in which the machine is suspended, so it is short."""

STOP = b"stop"
"""Line by which the run stops the tap. Any other line is a new deadline."""

LEASE_ENDED = "the lease ended"
"""Why tap and loader were killed, if the lease was not renewed in time."""


def now() -> float:
    """Return the seconds of a clock that runs as well while this machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Program:
    """A program to run.

    Args:
        command: Its command line.
        files: File descriptors that it reads.
        environment: What is added to its environment.
        log: File descriptor of its log.
    """

    command: list[str]
    files: list[int]
    environment: dict[str, str]
    log: int


@dataclass(frozen=True)
class Orders:
    """What a guard is started with.

    Args:
        tap: The tap.
        loader: What reads the tap's output; None to write it to the guard's stdout.
        deadline: When the lease ends, on the clock of `now`.
        grace_seconds: How long a stop may take.
        directory: A temporary directory, which the guard removes at the end.
        report: File descriptor for a Report, as JSON.
    """

    tap: Program
    loader: Program | None
    deadline: float
    grace_seconds: float
    directory: str
    report: int

    def to_json(self) -> str:
        """Return them as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """Return the orders of a text that `to_json` returned."""
        orders: dict[str, Any] = json.loads(text)
        for key in ("tap", "loader"):
            orders[key] = orders[key] and Program(**orders[key])
        return cls(**orders)


@dataclass
class Report:
    """How tap and loader ended.

    Args:
        tap: The tap's exit code; negative if a signal killed it.
        loader: The loader's; None if there is none.
        killed: Why the guard killed them; "" if it did not.
        peak_memory_bytes: The sum of both peaks.
        cpu_seconds: What both used.
    """

    tap: int = 0
    loader: int | None = None
    killed: str = ""
    peak_memory_bytes: int = 0
    cpu_seconds: float = 0.0


class _Guard:
    def __init__(self, orders: Orders) -> None:
        self._grace_seconds = orders.grace_seconds
        self._deadline = orders.deadline
        self._stop_at = math.inf
        self._heard = b""
        self._report = Report()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        # By the file descriptor that can be read when the process has ended
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._tap = self._start(
            orders.tap, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if orders.loader else None
        )
        if orders.loader:
            self._start(orders.loader, stdin=self._tap.stdout)
        if self._tap.stdout is not None:
            self._tap.stdout.close()
        # Its reader then sees the end when tap and loader have ended.
        os.close(sys.stdout.fileno())

    def _start(self, program: Program, **streams: Any) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(  # noqa: S603 - the caller's command
            program.command,
            pass_fds=program.files,
            env=os.environ | program.environment,
            stderr=program.log,
            start_new_session=True,
            preexec_fn=_killed_with(os.getpid()),  # noqa: PLW1509 - the guard has one thread
            **streams,
        )
        pidfd = os.pidfd_open(child.pid)
        self._running[pidfd] = child
        self._selector.register(pidfd, selectors.EVENT_READ)
        return child

    def watch(self) -> Report:
        """Return when tap and loader have ended."""
        while self._running:
            left = math.inf
            if not self._report.killed:
                left = min(self._deadline, self._stop_at) - now()
                if left <= 0:
                    self._kill(
                        LEASE_ENDED if self._deadline <= self._stop_at else "stopping took too long"
                    )
            for key, _ in self._selector.select(min(left, _MAX_WAIT_SECONDS)):
                if key.fd in self._running:
                    self._ended(key.fd)
                else:
                    self._hear()
        return self._report

    def _hear(self) -> None:
        """Do what the run says."""
        said = os.read(sys.stdin.fileno(), _READ_BYTES)
        if not said:
            self._selector.unregister(sys.stdin)
            self._kill("the run's process ended")
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            if line != STOP:
                self._deadline = float(line)
            elif self._stop_at == math.inf:
                self._stop_at = now() + self._grace_seconds
                if self._tap in self._running.values():
                    self._tap.terminate()  # The loader then reads to the end.

    def _kill(self, why: str) -> None:
        self._report.killed = self._report.killed or why
        for child in self._running.values():
            _kill_group(child)

    def _ended(self, pidfd: int) -> None:
        child = self._running.pop(pidfd)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _kill_group(child)  # Else what it leaves behind would hold the pipes open.
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self._report.peak_memory_bytes += usage.ru_maxrss << 10
        self._report.cpu_seconds += usage.ru_utime + usage.ru_stime
        if child is self._tap:
            self._report.tap = child.returncode
        else:
            self._report.loader = child.returncode


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill a process that has not been waited for, and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _killed_with(parent: int) -> Callable[[], None]:
    """Return what a child calls so that the kernel kills it with its parent."""
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It has ended already.
            os._exit(1)

    return ask


def _ignored(*_: object) -> None:
    """Do nothing. Unlike SIG_IGN, a handler is not inherited by tap and loader."""


def main() -> None:
    """Guard one run."""
    # The run decides what a signal means, also of one that a terminal sends to all.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _ignored)
    orders = Orders.from_json(sys.argv[1])
    try:
        report = _Guard(orders).watch()
    except OSError as error:  # A program cannot be started. If the other one was, it ends with us.
        report = Report(killed=str(error))
    finally:
        shutil.rmtree(orders.directory, ignore_errors=True)
    with os.fdopen(orders.report, "w") as file:
        json.dump(asdict(report), file)


if __name__ == "__main__":
    main()
