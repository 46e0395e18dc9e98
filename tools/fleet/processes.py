"""Processes of this machine: who started whom, what they used, and how to end them at once.

Source: proc_pid_stat(5), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_TAP = "/tap-zoho-bulk "
_GUARD = "/zoho_bulk_fleet/guard.py "


@dataclass(frozen=True)
class Process:
    """A process.

    Args:
        pid: Its id.
        parent: Its parent's id.
        ended: Whether only its exit code is left.
        cpu_seconds: What it used, and its children that it has waited for.
    """

    pid: int
    parent: int
    ended: bool
    cpu_seconds: float

    @property
    def command(self) -> str:
        """Its command line; "" if it has ended."""
        with suppress(OSError):
            return (_PROC / str(self.pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return ""

    @property
    def is_guard(self) -> bool:
        """Whether it guards a tap."""
        return _GUARD in self.command

    @property
    def is_tap(self) -> bool:
        """Whether it is a tap. Its guard's command line names it as well."""
        return _TAP in self.command and not self.is_guard

    @property
    def memory_bytes(self) -> int:
        """Its memory, with its part of what processes share (PSS); 0 if it has ended."""
        with suppress(OSError):
            for line in (_PROC / str(self.pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1]) << 10
        return 0


def adopt_orphans() -> None:
    """Become the parent of each descendant whose parent is killed, so that none is lost."""
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1):
        raise OSError("The kernel does not let this process adopt orphans.")


def tree(root: int) -> list[Process]:
    """Return a process and its descendants.

    Args:
        root: The process's id.
    """
    everything = [process for entry in _PROC.iterdir() if (process := _read(entry))]
    children: dict[int, list[Process]] = {}
    for process in everything:
        children.setdefault(process.parent, []).append(process)
    found = [process for process in everything if process.pid == root]
    for process in found:
        found += children.get(process.pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds of a process and its descendants, also of those that have ended.

    Args:
        root: The process's id.
    """
    return sum(process.cpu_seconds for process in tree(root))


def kill_tree(root: int, *, with_root: bool = True) -> list[str]:
    """Kill a process and its descendants, as if their machine died.

    All are stopped first: none has the time to notice that another one has ended.

    Args:
        root: The process's id.
        with_root: Whether the process itself is killed.

    Returns:
        The command lines of those that were killed.
    """
    stopped: dict[int, str] = {}
    while new := [
        process
        for process in tree(root)
        if process.pid not in stopped and not process.ended and (with_root or process.pid != root)
    ]:
        for process in new:
            stopped[process.pid] = process.command
            _signal(process.pid, signal.SIGSTOP)
    for pid in stopped:
        _signal(pid, signal.SIGKILL)
    return list(stopped.values())


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _read(entry: Path) -> Process | None:
    if not entry.name.isdecimal():
        return None
    try:
        # The command's name, which may contain anything, is in parentheses.
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # It has ended.
        return None
    used = sum(map(int, fields[11:15]))
    return Process(int(entry.name), int(fields[1]), fields[0] == "Z", used / _TICKS)
