"""Memory, files and threads of a running process, as the kernel counts them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Sample:
    """Memory, files and threads of a process at one moment."""

    rss: int
    files: int
    threads: int


class Watch:
    """Samples a process in its `with` block, until the process ends."""

    def __init__(self, pid: int, every_seconds: float = 0.02) -> None:
        self.samples: list[Sample] = []
        self._process = Path(f"/proc/{pid}")
        self._every_seconds = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    @property
    def most(self) -> Sample:
        """Return the maximum of each."""
        return Sample(
            max(each.rss for each in self.samples),
            max(each.files for each in self.samples),
            max(each.threads for each in self.samples),
        )

    def _look(self) -> None:
        while not self._over.wait(self._every_seconds):
            try:
                status = dict(
                    line.split(":", 1)
                    for line in (self._process / "status").read_text().splitlines()
                )
                files = len(list((self._process / "fd").iterdir()))
            except OSError:
                return  # It has ended.
            if "VmHWM" in status:  # A process that has just ended has no memory left.
                rss = int(status["VmHWM"].split()[0]) * 1024
                self.samples.append(Sample(rss, files, int(status["Threads"])))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
