"""A CSV in an archive: bounded reads of its bytes, and its rows.

Invariant: at most the maximum length of a row is in memory, whatever the file contains.
"""

from __future__ import annotations

import codecs
import csv
import io
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from tap_zoho_bulk.exceptions import PageDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_zoho_bulk.bulk_read.archive import Archive

MAX_ROW_BYTES = 32 << 20
"""Zoho's longest cells have about 100 KB; a ZIP with a longer row than this is a bomb."""

_MAX_HEADER_BYTES = 1 << 20  # Zoho's names have up to some 100 bytes, of 500 fields or so.
_READ_BYTES = 1 << 16
_PORTION_BYTES = 1 << 17
_CSV_ACCEPTS_NUL = sys.version_info >= (3, 11)
_NUL_STAND_IN = "\ud800"  # UTF-8 cannot encode it, so no file contains it.

# The limit applies to the process. The default, 131,072, is less than Zoho's cells have.
csv.field_size_limit(MAX_ROW_BYTES)


@contextmanager
def open_csv(archive: Archive) -> Iterator[CsvBytes]:
    """Open the one CSV of an archive.

    Args:
        archive: On disk.

    Raises:
        PageDamagedError: As `Archive.open` does.
    """
    with archive.open("csv") as entry:
        yield CsvBytes(entry, str(archive))


class CsvBytes(io.RawIOBase):
    """The bytes of a CSV, read only as far as the caller allows.

    Args:
        entry: The CSV in its archive.
        name: Of the archive; for messages.
    """

    def __init__(self, entry: IO[bytes], name: str) -> None:
        self.count = 0  # bytes read so far
        self.is_utf8 = True  # what `readinto` has read so far
        self._entry = entry
        self._name = name
        self._allowed = MAX_ROW_BYTES
        self._unread = b""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def allow(self, size: int) -> None:
        """Allow so many more bytes, and one row of the maximum length.

        Args:
            size: Bytes.
        """
        self._allowed = self.count + size + MAX_ROW_BYTES

    def take(self, size: int) -> bytes:
        """Return so many bytes, or fewer at the end; whether they are UTF-8 is not checked.

        Args:
            size: Bytes.

        Raises:
            PageDamagedError: When the caller allowed fewer bytes.
        """
        data = bytearray()
        while len(data) < size and (more := self._next(size - len(data))):
            data += more
        return bytes(data)

    def unread(self, data: bytes) -> None:
        """Have bytes read again.

        Args:
            data: The last bytes that were read.
        """
        self._unread = data + self._unread
        self.count -= len(data)

    def readable(self) -> bool:
        """Return True, as `io` requires."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes, as `io` requires.

        Raises:
            PageDamagedError: When the caller allowed fewer bytes.
        """
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        if self.is_utf8:
            try:
                self._decode(data, not data)
            except UnicodeDecodeError:
                self.is_utf8 = False
        return len(data)

    def _next(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end."""
        if self.count > self._allowed:
            raise PageDamagedError(f"{self._name}: a row is longer than {MAX_ROW_BYTES} bytes.")
        data, self._unread = self._unread[:size], self._unread[size:]
        data = data or self._entry.read(min(size, _READ_BYTES))
        self.count += len(data)
        return data


def csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Return the rows of strictly parsed CSV.

    Python 3.10's reader refuses NUL, so it reads a stand-in.

    Args:
        lines: Text, line by line.
    """
    if _CSV_ACCEPTS_NUL:
        return csv.reader(lines, strict=True)
    masked = (line.replace("\0", _NUL_STAND_IN) for line in lines)
    return (
        [cell.replace(_NUL_STAND_IN, "\0") for cell in row]
        for row in csv.reader(masked, strict=True)
    )


def read_header(raw: CsvBytes) -> list[str] | None:
    """Read the first row exactly, so that the next byte in `raw` is the second row's.

    Args:
        raw: The bytes of a CSV, none of them read yet.

    Returns:
        The header; None if there is none.

    Raises:
        csv.Error: When it is not a CSV, or its first row is too long for a header.
    """
    data = b""
    while True:
        if len(data) > _MAX_HEADER_BYTES:
            raise csv.Error(f"its header is longer than {_MAX_HEADER_BYTES} bytes")
        more = raw.take(max(_READ_BYTES, len(data)))
        data += more
        content = data.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")
        text = io.StringIO(content, newline="")
        try:
            header = next(csv_rows(text), None)
        except csv.Error:
            # It may be only that the rest of the row is not read yet.
            if not more or text.read(1):
                raise
            continue
        # A row that ends where the data does may continue.
        rest = text.read()
        if rest or not more:
            raw.unread(rest.encode(errors="surrogateescape"))
            return header


def take_rows(rows: Iterator[list[str]], raw: CsvBytes) -> list[list[str]]:
    """Return the next rows, few enough to keep memory bounded, because cells can be long.

    Args:
        rows: Of the CSV.
        raw: Its bytes.
    """
    raw.allow(_PORTION_BYTES)
    end = raw.count + _PORTION_BYTES
    taken = []
    for row in rows:
        taken.append(row)
        if raw.count >= end:
            break
    return taken
