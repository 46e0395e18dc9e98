"""A stdout whose reader leaves right before a message of a kind."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Pipe(io.BufferedWriter):
    """The write end of a pipe. Its other end reads nothing, so the messages must fit the pipe."""

    def __init__(self, part: bytes) -> None:
        self._reader: int | None
        self._reader, writer = os.pipe()
        self._part = part
        super().__init__(io.FileIO(writer, "w"))

    @override
    def write(self, data: Buffer, /) -> int:
        if self._reader is not None and self._part in bytes(data):
            os.close(self._reader)
            self._reader = None
        return super().write(data)


def leaving_before(part: str) -> io.TextIOWrapper:
    """Return a stdout that nothing reads once the output contains a text."""
    return io.TextIOWrapper(_Pipe(part.encode()), encoding="utf-8")
