"""The tap on a pseudo-terminal, and the screen that a user would see."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pyte

from tests.support.singer import MAX_RUN_SECONDS, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

# Variables of a developer's environment that would switch the live view off, or change it.
_FOREIGN = ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_", "COLUMNS", "LINES", "TAP_ZOHO_", "SINGER_SDK_")


class TerminalTap:
    """The tap, or another of its programs, run with its stderr on a terminal.

    Args:
        arguments: Arguments of its command line.
        program: Arguments of Python that start it.
        environment: Variables to add to those of this process.
        size: Columns and lines of the terminal.
        stdin_too: Whether stdin is also this terminal.
        stdout_too: Whether stdout is also this terminal.
        stdout: Its stdout otherwise, if nothing here is to read it.
    """

    def __init__(  # noqa: PLR0913 - a process and its terminal
        self,
        arguments: Sequence[str],
        *,
        program: Sequence[str] = ("-m", "tap_zoho_bulk"),
        environment: Mapping[str, str] | None = None,
        size: tuple[int, int] = (80, 24),
        stdin_too: bool = False,
        stdout_too: bool = False,
        stdout: int = subprocess.PIPE,
    ) -> None:
        self.screen = pyte.HistoryScreen(*size, history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        self._terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=ROOT,
            env={**inherited, "TERM": "xterm-256color", **(environment or {})},
            stdin=end if stdin_too else subprocess.DEVNULL,
            stdout=end if stdout_too else stdout,
            stderr=end,
        )
        os.close(end)
        self.raw = b""
        """Everything that was written to the terminal."""
        self.stdout = bytearray()
        self._changed = threading.Condition()
        self._taken = threading.Event()
        self._taken.set()
        self._is_open = True
        self._readers = [threading.Thread(target=self._watch, daemon=True)]
        if self._process.stdout is not None:
            self._readers.append(threading.Thread(target=self._take, daemon=True))
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._taken.set()
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        os.close(self._terminal)

    @property
    def lines(self) -> list[str]:
        """Return the lines that the screen shows."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def all_lines(self) -> list[str]:
        """Return the lines that the screen shows, after those that have left it at the top."""
        columns = range(self.screen.columns)
        left = ["".join(line[x].data for x in columns) for line in self.screen.history.top]
        return [*(line.rstrip() for line in left), *self.lines]

    def wait_for(
        self, seen: Callable[[list[str]], bool], seconds: float = MAX_RUN_SECONDS
    ) -> list[str]:
        """Wait until `seen` returns true for the screen, and return its lines."""
        with self._changed:
            self._changed.wait_for(lambda: seen(self.lines) or not self._is_open, seconds)
            lines = self.lines
        assert seen(lines), "it did not come; the screen:\n" + "\n".join(lines)
        return lines

    def hang_up(self) -> None:
        """Close the terminal while the tap runs."""
        os.close(self._terminal)
        self._terminal = os.open(os.devnull, os.O_RDONLY)

    def pause(self) -> None:
        """Stop reading the tap's stdout, like a busy target."""
        self._taken.clear()

    def sip(self) -> None:
        """Read one piece of stdout if reading is paused, and pause again."""
        self._taken.set()  # Releases the reading thread once.
        self._taken.clear()

    def go_on(self) -> None:
        """Resume reading stdout."""
        self._taken.set()

    def end(self, seconds: float = MAX_RUN_SECONDS) -> int:
        """Wait until the tap has ended, and return its exit code."""
        exit_code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(MAX_RUN_SECONDS)
        return exit_code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def type(self, text: str) -> None:
        """Type text; Enter is a carriage return."""
        os.write(self._terminal, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal shows it, and sends SIGINT."""
        os.write(self._terminal, b"\x03")
        with self._changed:  # Until then, the terminal drops output, also the tap's last lines.
            self._changed.wait_for(lambda: b"^C" in self.raw or not self._is_open, MAX_RUN_SECONDS)
        self._process.send_signal(signal.SIGINT)

    def interrupt_until_it_ends(self) -> None:
        """Press Ctrl-C up to three times until the program has ended.

        Python does not handle a signal that comes right before it waits for a line.
        """
        for _ in range(3):
            self.interrupt()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
                return

    def _watch(self) -> None:
        while True:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:  # The other end is closed.
                data = b""
            with self._changed:
                self.raw += data
                self._stream.feed(data)
                self._is_open = bool(data)
                self._changed.notify_all()
            if not data:
                return

    def _take(self) -> None:
        assert self._process.stdout is not None
        while True:
            self._taken.wait(MAX_RUN_SECONDS)
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                return
            self.stdout += data
