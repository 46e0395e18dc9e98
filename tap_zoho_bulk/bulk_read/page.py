"""The page: a job's result as a ZIP on disk, and the CSV or ICS inside it.

Invariant: a page is never whole in memory; it takes at most one row's limit of it. Its file has no
name on disk, so nobody else can open it and nothing is left behind, however the run ends.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/download-result.html
"""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from tap_zoho_bulk.exceptions import (
    JobFailedError,
    PageDamagedError,
    SpoolError,
    ZohoRefusedError,
)
from tap_zoho_bulk.reporting.page_progress import DownloadNews

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.api.client import Spending, ZohoClient
    from tap_zoho_bulk.bulk_read.job import JobResult

PAGE_RECORDS = 200_000
"""The most records that Zoho puts into one page."""
MAX_ROW_BYTES = 32 << 20
"""Longest row. Zoho's longest cells have some 100 KB; a ZIP that holds more than this is a bomb."""

_PIECE_BYTES = 1 << 18
_ENCRYPTED = 0x1
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UNREADABLE = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,  # a position before the file's start
    struct.error,
    ValueError,  # a name that is no text
)


@dataclass
class Page:
    """A page, spooled to disk.

    Args:
        module: API name of the module; for messages.
        number: From 1.
        job_id: The job that it is the result of.
        result: What Zoho says of it.
        file: The ZIP.
        size: Bytes of the ZIP.
    """

    module: str
    number: int
    job_id: str
    result: JobResult
    file: IO[bytes]
    size: int

    def __str__(self) -> str:
        """Name the page in messages."""
        return f"{self.module}: page {self.number} (job {self.job_id})"

    @contextmanager
    def open_csv(self) -> Iterator[CsvBytes]:
        """Open the CSV in the ZIP; otherwise as `open`."""
        with self.open("csv") as entry:
            yield CsvBytes(entry, str(self))

    @contextmanager
    def open(self, file_type: str) -> Iterator[IO[bytes]]:
        """Open the file in the ZIP.

        Args:
            file_type: What it is to be, `csv` or `ics`.

        Raises:
            PageDamagedError: When the ZIP is not whole, or is not one such file; also while it is
                read, at the latest at its end, where its CRC is checked.
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
    def open_all(self) -> Iterator[Iterator[tuple[str, CsvBytes]]]:
        """Open the files in the ZIP one after another, whatever their names are.

        Raises:
            PageDamagedError: When the ZIP is not whole, also while its files are read.
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

    def _files(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, CsvBytes]]:
        for info in archive.infolist():
            if info.is_dir():
                continue
            self._check_coding(info)
            try:
                entry = archive.open(info)
            except _UNREADABLE as error:
                raise self._damaged(error) from error
            with entry:
                yield info.filename, CsvBytes(entry, str(self))

    def close(self) -> None:
        """Give the disk space back."""
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
    """A file that is read in small pieces only: `zipfile` reads a ZIP's whole directory at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read some bytes.

        Raises:
            BadZipFile: When they are more than the directory of one file takes.
        """
        data = self._file.read(min(size, _PIECE_BYTES + 1) if size >= 0 else _PIECE_BYTES + 1)
        if len(data) > _PIECE_BYTES:
            raise zipfile.BadZipFile("its directory is that of many files")
        return data


class CsvBytes(io.RawIOBase):
    """The bytes of a CSV, no more of them at a time than somebody allows.

    Args:
        entry: The CSV in its ZIP.
        page: The page; for messages.
    """

    def __init__(self, entry: IO[bytes], page: str) -> None:
        self.count = 0  # bytes read so far
        self._entry = entry
        self._page = page
        self._allowed = MAX_ROW_BYTES

    def allow(self, size: int) -> None:
        """Let so many more bytes be read, and what the longest row takes.

        Args:
            size: Bytes.
        """
        self._allowed = self.count + size + MAX_ROW_BYTES

    def readable(self) -> bool:
        """Say that it can be read, as `io` asks."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes, as `io` asks.

        Raises:
            PageDamagedError: When they are more than is allowed.
        """
        if self.count > self._allowed:
            raise PageDamagedError(f"{self._page}: a row is longer than {MAX_ROW_BYTES} bytes.")
        data = self._entry.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


class Spool:
    """Downloads pages to disk.

    Args:
        client: Zoho's API.
        directory: Where; the system's temporary folder if None.
    """

    def __init__(self, client: ZohoClient, directory: str | None) -> None:
        self._client = client
        self._directory = directory

    def download(  # noqa: PLR0913
        self,
        module: str,
        number: int,
        job_id: str,
        result: JobResult,
        *,
        scope: str,
        spending: Spending,
    ) -> Page:
        """Download a page.

        Args:
            module: API name of the module; for messages.
            number: From 1; for messages.
            job_id: The job that it is the result of.
            result: What Zoho says of it.
            scope: The OAuth scope that it needs; for messages.
            spending: Counts what it costs.

        Raises:
            JobFailedError: When Zoho does not have the result any more.
            SpoolError: When it cannot be written.
            TapZohoBulkError: As `ZohoClient.download` does.
        """
        try:
            file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        news = DownloadNews(module, number, job_id, spending)
        try:
            size = self._client.download(
                result.download_url,
                file,
                what=f"download page {number} of {module} (job {job_id})",
                scope=scope,
                spending=spending,
                received=news.received,
            )
        except ZohoRefusedError as error:
            file.close()
            if error.code in {"RESOURCE_NOT_FOUND", "HTTP_404"}:
                raise JobFailedError(
                    f"{module}: the result of job {job_id} is gone; Zoho keeps it a day."
                ) from error
            raise
        except OSError as error:
            file.close()
            raise _no_room(error) from error
        except BaseException:
            file.close()
            raise
        news.ended(size)
        return Page(module, number, job_id, result, file, size)


def _no_room(error: OSError) -> SpoolError:
    return SpoolError(
        f"A page cannot be written to disk ({error.strerror or type(error).__name__}). Check that "
        "the folder that `spool_directory` names, or else the system's temporary one, is there and "
        "has room."
    )
