"""The archive: a ZIP on disk, and the files in it.

Invariant: it is never completely in memory. Its file has no name on disk, so no other process can
open it and nothing is left behind, however the run ends.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from tap_zoho_bulk.exceptions import PageDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1 << 18
_ENCRYPTED = 0x1
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UNREADABLE = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,  # a position before the file's start
    struct.error,
    ValueError,  # a name that is not text
)


@dataclass
class Archive:
    """A downloaded ZIP.

    Args:
        name: For messages, such as `Leads: page 3 (job 42)`.
        file: The ZIP.
        size: Its bytes.
    """

    name: str
    file: IO[bytes]
    size: int

    def __str__(self) -> str:
        """Return the name, for messages."""
        return self.name

    @contextmanager
    def open(self, file_type: str) -> Iterator[IO[bytes]]:
        """Open the file in the ZIP.

        Args:
            file_type: The expected extension, `csv` or `ics`.

        Raises:
            PageDamagedError: When the ZIP is corrupt, or does not hold one such file; also while
                the file is read, at the latest at its end, where the CRC is checked.
        """
        try:
            self.file.seek(0)
            archive = zipfile.ZipFile(_Pieces(self.file))
            entry = archive.open(self._entry(archive, file_type))
        except _UNREADABLE as error:
            raise self._damaged(error) from error
        with archive, entry:
            try:
                yield entry
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise self._damaged(error) from error

    @contextmanager
    def open_all(self) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
        """Yield the files in the ZIP, whatever their names are.

        Raises:
            PageDamagedError: When the ZIP is corrupt; also while its files are read.
        """
        try:
            self.file.seek(0)
            archive = zipfile.ZipFile(_Pieces(self.file))
        except _UNREADABLE as error:
            raise self._damaged(error) from error
        with archive:
            try:
                yield self._files(archive)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise self._damaged(error) from error

    def _files(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
        for info in archive.infolist():
            if info.is_dir():
                continue
            self._check_coding(info)
            try:
                entry = archive.open(info)
            except _UNREADABLE as error:
                raise self._damaged(error) from error
            with entry:
                yield info.filename, entry

    def close(self) -> None:
        """Free the disk space."""
        self.file.close()

    def _damaged(self, error: Exception) -> PageDamagedError:
        return PageDamagedError(f"{self}: the ZIP is damaged ({error or type(error).__name__}).")

    def _entry(self, archive: zipfile.ZipFile, file_type: str) -> zipfile.ZipInfo:
        entries = archive.infolist()
        if len(entries) != 1:
            raise PageDamagedError(f"{self}: the ZIP holds {len(entries)} files instead of one.")
        name = entries[0].filename
        plain = not {"/", "\\", ":"} & set(name)
        if not plain or not name.lower().endswith(f".{file_type}"):
            raise PageDamagedError(
                f"{self}: the ZIP holds {name[:100]!r} instead of a file *.{file_type}."
            )
        self._check_coding(entries[0])
        return entries[0]

    def _check_coding(self, entry: zipfile.ZipInfo) -> None:
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _COMPRESSIONS:
            raise PageDamagedError(f"{self}: the ZIP is encrypted or of an unusual compression.")


class _Pieces:
    """A file that refuses long reads: `zipfile` reads a ZIP's complete directory at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read some bytes.

        Raises:
            BadZipFile: When they are more than the directory of one file needs.
        """
        data = self._file.read(min(size, _PIECE_BYTES + 1) if size >= 0 else _PIECE_BYTES + 1)
        if len(data) > _PIECE_BYTES:
            raise zipfile.BadZipFile("its directory lists many files")
        return data
