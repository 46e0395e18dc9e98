"""What a process has on disk: its open files in a folder, which may be without a name."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY_SECONDS = 0.02
_BLOCK_BYTES = 512


class SpoolWatch:
    """Samples the disk space of a process's files in a folder.

    Args:
        folder: The folder. Nothing else may write to it.
    """

    def __init__(self, folder: Path) -> None:
        self.peak_bytes: int | None = None
        """The maximum so far; None if the system does not list a process's files in `/proc`."""
        self._folder = str(folder.resolve())

    @contextmanager
    def __call__(self, pid: int) -> Iterator[None]:
        """Watch a process.

        Args:
            pid: Its ID.
        """
        ended = threading.Event()
        thread = threading.Thread(target=self._sample, args=(Path(f"/proc/{pid}/fd"), ended))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _sample(self, files: Path, ended: threading.Event) -> None:
        while not ended.wait(_EVERY_SECONDS):
            with suppress(OSError):  # It has ended.
                found = list(files.iterdir())
                self.peak_bytes = max(self.peak_bytes or 0, sum(map(self._size, found)))

    def _size(self, file: Path) -> int:
        try:
            if str(file.readlink()).startswith(self._folder):
                return file.stat().st_blocks * _BLOCK_BYTES
        except OSError:
            pass  # It was closed just now.
        return 0
