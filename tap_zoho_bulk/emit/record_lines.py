"""RECORD lines, many at a time: what the SDK writes one at a time, written with one call.

Invariant: byte for byte, except `time_extracted`, the lines are those of the SDK's `MsgSpecWriter`
for the same records.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder
from typing_extensions import override

from tap_zoho_bulk.exceptions import TargetGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singer_sdk.singerlib.encoding.simple import Message

    from tap_zoho_bulk.decode.chunk import Chunk


class _Line(msgspec.Struct, gc=False):
    """A RECORD message, its keys in the SDK's order."""

    type: str
    stream: str
    record: Any
    version: int | msgspec.UnsetType
    time_extracted: datetime


class ChunkWriter(MsgSpecWriter):
    """Writer of Singer messages, also of many records at once."""

    seconds_writing = 0.0
    """Nearly all of them are a wait for the target to read."""

    def write_chunk(self, stream: str, chunk: Chunk, version: int | None) -> None:
        """Write a RECORD message for each record.

        Args:
            stream: Name of the stream.
            chunk: The records.
            version: Of the full table, if it has one.
        """
        lines = map(
            _Line,
            repeat("RECORD"),
            repeat(stream),
            _records(chunk),
            repeat(msgspec.UNSET if version is None else version),
            repeat(datetime.now(timezone.utc)),
        )
        # A list: msgspec 0.22 never frees an iterator, and so neither the columns behind it.
        self._write(encoder.encode_lines(list(lines)))

    @override
    def write_message(self, message: Message) -> None:
        self._write(self.format_message(message))

    def _write(self, data: bytes | bytearray) -> None:
        """Write all data: with PYTHONUNBUFFERED, a signal can interrupt one call in the middle."""
        written = 0
        began = time.monotonic()
        with to_target():
            while written < len(data):
                # The views are released even if the write fails: the encoder reuses `data`.
                with memoryview(data) as view, view[written:] as rest:
                    written += sys.stdout.buffer.write(rest)
            sys.stdout.flush()
        self.seconds_writing += time.monotonic() - began


@contextmanager
def to_target() -> Iterator[None]:
    """Enclose what writes to stdout.

    Raises:
        TargetGoneError: When stdout accepts no more output.
    """
    try:
        yield
    except OSError as error:
        # Python flushes what is left at exit, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, (BrokenPipeError, ConnectionResetError)):
            raise TargetGoneError("The target closed the pipe. See its log.") from error
        raise TargetGoneError(
            f"Writing to stdout failed: {error.strerror}. Fix that, and run the tap again with "
            "the last STATE that its target confirmed."
        ) from error


def encode_records(chunk: Chunk) -> bytes:
    """Return the records alone, each as a line of JSON.

    Args:
        chunk: The records.
    """
    return encoder.encode_lines(list(_records(chunk)))


def _records(chunk: Chunk) -> Iterator[Any]:
    return map(_record_type(tuple(chunk.columns)), *chunk.columns.values())


@cache
def _record_type(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return what makes a record of these properties' values: structs, encoded faster than dicts.

    A struct's names must not contain what JSON escapes. Zoho's names do not.
    """
    fields: list[tuple[str, Any]] = [(f"p{number}", Any) for number in range(len(names))]
    rename = {field: name for (field, _), name in zip(fields, names, strict=True)}
    try:
        return msgspec.defstruct("Record", fields, rename=rename, gc=False)
    except ValueError:
        return lambda *values: dict(zip(names, values, strict=True))
