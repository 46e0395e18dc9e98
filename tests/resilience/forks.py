"""Start many runs of the tap's command line, several at once."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from tap_zoho_bulk.exceptions import ExitCode
from tests.support.program import inherited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.support.program import Program, Running

MAX_RUN_SECONDS = 120
"""A run that takes longer fails its test."""
NAMED_ERRORS = {*ExitCode} - {ExitCode.FAILED}
"""Exit codes of runs that end in errors of the tap's own, and not in a bug."""


@dataclass(frozen=True)
class Ended:
    """The exit code of a run, and its stderr."""

    exit_code: int
    stderr: str


class ForkedTap:
    """One run of the tap, in its own process."""

    def __init__(self, process: Running) -> None:
        self._process = process
        self.pid = process.pid
        self.send_signal = process.send_signal
        self._said: list[bytes] = []
        assert process.stderr is not None
        self._listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        self._listener.start()

    def read_lines(
        self, on_line: Callable[[bytes], bool], *, seconds: float = MAX_RUN_SECONDS
    ) -> Ended:
        """Pass on each complete line of stdout until the process has ended.

        Args:
            on_line: Called with a line; False closes the pipe, as if the target crashed.
            seconds: Time limit.
        """
        assert self._process.stdout is not None
        watchdog = threading.Timer(seconds, self._process.kill)
        watchdog.start()
        try:
            with self._process.stdout as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break  # Only a killed process leaves an incomplete line.
                    if not on_line(line):
                        break
            self._listener.join()
            exit_code = self._process.wait()
        finally:
            in_time = watchdog.is_alive()
            watchdog.cancel()
        stderr = b"".join(self._said).decode()
        assert in_time, f"the tap hung; it said:\n{stderr[-5000:]}"
        return Ended(exit_code, stderr)

    def _listen(self, stderr: IO[bytes]) -> None:
        with stderr:
            self._said += list(stderr)


class TapForks:
    """Starts runs of the tap."""

    def __init__(self, program: Program, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self._numbers = itertools.count()

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
        number = next(self._numbers)
        arguments = list(flags)
        for option, content in (("config", config), ("catalog", catalog), ("state", state)):
            if content is not None:
                file = self._directory / f"{number}-{option}.json"
                file.write_text(json.dumps(content), encoding="utf-8")
                arguments += [f"--{option}", str(file)]
        return ForkedTap(
            self._program.start(
                arguments,
                {**inherited("TAP_ZOHO_"), **(environment or {})},
                leaves_before=leaves_before,
            )
        )
