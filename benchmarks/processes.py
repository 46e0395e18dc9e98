"""Whole processes, and what each took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.server import Module

    Watch = Callable[[int], AbstractContextManager[object]]
    """Opened with a process's ID when it starts, and closed when it has ended."""
    Target = Callable[[IO[bytes]], None]
    """Reads a process's output to its end."""

# As small as Linux makes it: what a pipe holds, the target has not taken.
_PIPE_BYTES = 4096

ROOT = Path(__file__).parent.parent

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
"""The first run compiles the tap's modules, and the others find them compiled, as if installed."""


@dataclass(frozen=True)
class Usage:
    """What a process took.

    Args:
        cpu: Seconds of all its threads, in user and system mode.
        wall: Seconds from its start to its end, and to that of the target.
        peak_bytes: The most memory that it had.
    """

    cpu: float
    wall: float
    peak_bytes: int


def run(*arguments: str, target: Target | None = None, watch: Watch = nullcontext) -> Usage:
    """Run a Python module to its end.

    Args:
        arguments: As after `python -m`.
        target: Reads its output; the null device if None.
        watch: Watches the process.

    Raises:
        RuntimeError: When it fails.
    """
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - this project's own programs
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE if target else subprocess.DEVNULL,
            stderr=log,
            pipesize=_PIPE_BYTES,
        )
        with watch(process.pid):
            if target and process.stdout:
                with process.stdout:
                    target(process.stdout)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{arguments[0]} failed:\n{log.read().decode()[-2000:]}")
    return Usage(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def tap(
    config: dict[str, Any],
    catalog: dict[str, Any] | None,
    *,
    module: str = "tap_zoho_bulk",
    target: Target | None = None,
    watch: Watch = nullcontext,
) -> Usage:
    """Run the tap: a sync with a catalog, discovery without one.

    Args:
        config: Its settings.
        catalog: What to sync.
        module: Whose command line it is.
        target: As `run` has it.
        watch: As `run` has it.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = []
        for name, content in (("config", config), ("catalog", catalog)):
            if content is not None:
                file = Path(folder, f"{name}.json")
                file.write_text(json.dumps(content), encoding="utf-8")
                options += [f"--{name}", str(file)]
        options += ["--discover"] if catalog is None else []
        return run(module, *options, target=target, watch=watch)


@contextmanager
def page_server(
    directory: Path, modules: Sequence[Module], *, rows: int, parallel: bool = True
) -> Iterator[dict[str, Any]]:
    """Serve prepared pages from a process of their own.

    Args:
        directory: Their folder.
        modules: What to serve; their pages are over and over the same if there are fewer.
        rows: Records of each page.
        parallel: Whether jobs run at the same time, or one after another.

    Yields:
        Settings with which the tap reads them.
    """
    process = subprocess.Popen(  # noqa: S603 - this project's own program
        [
            *(sys.executable, "-m", "benchmarks.server", str(directory)),
            *(str(rows), str(int(parallel)), *map(str, modules)),
        ],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None  # noqa: S101 - they are pipes
    assert process.stdout is not None  # noqa: S101
    with process:
        url = process.stdout.readline().strip()
        yield {
            "client_id": "client",
            "client_secret": "secret",
            "refresh_token": "refresh",
            "accounts_url": url,
            "api_url": url,
            "poll_interval_seconds": 0.01,
            "downloads_per_minute": 10_000,
        }
        process.stdin.close()
