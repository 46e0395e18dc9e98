"""Tap and loader as child processes, from the run's side.

Invariant: settings reach them in memory only. No disk, command line, environment or log has them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from zoho_bulk_fleet import guard
from zoho_bulk_fleet.guard import STOP, Orders, Program, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_STDERR = 2
_MAX_LINE_BYTES = 64 << 20
_READ_SECONDS = 30.0
"""How long reading may take once the guard has ended, so that pipes are no longer filled."""


@dataclass(frozen=True)
class Step:
    """A command, and the JSON files that it reads.

    Args:
        command: The command and its arguments.
        options: Content of the file of each option, such as `--config`.
        variables: Likewise, for environment variables.
    """

    command: Sequence[str]
    options: Mapping[str, object]
    variables: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Steps:
    """The commands of a pipeline.

    Args:
        tap: The tap.
        loader: What reads its output, if anything.
        directory: Their temporary directory, which is removed when both have ended.
    """

    tap: Step
    loader: Step | None
    directory: str


@dataclass(frozen=True)
class Readers:
    """What reads the lines of a pipeline, each in a thread of its own.

    So no signal that raises an exception in the main thread can lose a line.

    Args:
        output: Of what the loader prints; of the tap's messages, if there is no loader.
        tap_log: Of the tap's log.
        loader_log: Of the loader's log.
    """

    output: Callable[[bytes], None]
    tap_log: Callable[[bytes], None]
    loader_log: Callable[[bytes], None]


class Pipeline:
    """Tap and loader, running.

    Args:
        guard: Their guard.
        report: Where it reports.
        readers: What reads their lines.
    """

    def __init__(
        self, guard: subprocess.Popen[bytes], report: IO[bytes], readers: Sequence[_Reader]
    ) -> None:
        self._guard = guard
        self._report = report
        self._readers = readers

    def extend(self, deadline: float) -> None:
        """Allow tap and loader to run until another time.

        Args:
            deadline: On the clock of `guard.now`.
        """
        self._say(repr(deadline).encode())

    def stop(self) -> None:
        """Stop the tap gracefully. The loader loads what it still sends."""
        self._say(STOP)

    def kill(self) -> None:
        """Kill both."""
        self.extend(0)

    def wait(self) -> Report:
        """Wait until both have ended and all is read, and return how they ended.

        Raises:
            Exception: What a reader raised.
        """
        self.join()
        if any(reader.is_alive() for reader in self._readers):
            return Report(killed="a process that they started has not ended")
        for reader in self._readers:
            if reader.error:
                raise reader.error
        written = self._report.read()
        return Report(**json.loads(written)) if written else Report(killed="their guard ended")

    def join(self) -> None:
        """Wait until both have ended and all is read."""
        self._guard.wait()
        until = time.monotonic() + _READ_SECONDS
        for reader in self._readers:
            reader.join(max(0.0, until - time.monotonic()))

    def _say(self, line: bytes) -> None:
        assert self._guard.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError, ValueError):  # They have ended.
            os.write(self._guard.stdin.fileno(), line + b"\n")


@contextmanager
def running(
    steps: Steps, *, deadline: float, grace_seconds: float, readers: Readers
) -> Iterator[Pipeline]:
    """Start tap and loader, which the end of the block kills if they still run.

    Args:
        steps: Their commands.
        deadline: When they are killed unless it is extended, on the clock of `guard.now`.
        grace_seconds: How long a stop may take.
        readers: What reads their lines.
    """
    files: list[int] = []
    try:
        tap_log, tap_log_end = _pipe(files)
        report, report_end = _pipe(files)
        orders = Orders(
            _program(steps.tap, files, tap_log_end),
            _program(steps.loader, files, _STDERR) if steps.loader else None,
            deadline,
            grace_seconds,
            steps.directory,
            report_end,
        )
        process = subprocess.Popen(  # noqa: S603 - this package's own
            # By its path and isolated, since an import of this package takes longer.
            [sys.executable, "-IS", guard.__file__, orders.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=files,
            start_new_session=True,
        )
    finally:
        for each in files:
            os.close(each)
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    with process.stdin, report:
        started: list[_Reader] = []
        pipeline = Pipeline(process, report, started)
        started += [
            _Reader(process.stdout, readers.output, pipeline.kill),
            _Reader(tap_log, readers.tap_log, pipeline.kill),
            _Reader(process.stderr, readers.loader_log, pipeline.kill),
        ]
        for reader in started:
            reader.start()
        try:
            yield pipeline
        finally:
            pipeline.kill()
            pipeline.join()


def _pipe(files: list[int]) -> tuple[IO[bytes], int]:
    """Return both ends of a new pipe, the second of which is added to `files`."""
    end, other_end = os.pipe()
    files.append(other_end)
    return os.fdopen(end, "rb"), other_end


class _Reader(threading.Thread):
    """Reads lines to the end. After an error it reads on, so that their writer is not held up."""

    def __init__(
        self, lines: IO[bytes], take: Callable[[bytes], None], failed: Callable[[], None]
    ) -> None:
        super().__init__(daemon=True)
        self._lines = lines
        self._take = take
        self._failed = failed
        self.error: Exception | None = None

    def run(self) -> None:
        with self._lines:
            while line := self._lines.readline(_MAX_LINE_BYTES):
                if self.error is None:
                    try:
                        self._take(line)
                    except Exception as error:  # noqa: BLE001 - `wait` raises it
                        self.error = error
                        self._failed()


def _program(step: Step, files: list[int], log: int) -> Program:
    options = {option: _in_memory(files, content) for option, content in step.options.items()}
    variables = {name: _in_memory(files, content) for name, content in step.variables.items()}
    return Program(
        [*step.command, *(word for option in options for word in (option, _path(options[option])))],
        [*options.values(), *variables.values()],
        {name: _path(file) for name, file in variables.items()},
        log,
    )


def _in_memory(files: list[int], content: object) -> int:
    """Return the descriptor of a file that is in memory only, and gone with its last reader."""
    file = os.memfd_create("zoho-bulk-fleet")
    files.append(file)
    with os.fdopen(os.dup(file), "wb") as writer:
        writer.write(json.dumps(content).encode())
    return file


def _path(file: int) -> str:
    return f"/dev/fd/{file}"
