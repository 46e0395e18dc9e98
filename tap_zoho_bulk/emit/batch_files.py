"""BATCH: pages as files, written straight from columns.

Invariant: a file holds records of one page, and has its name only once it is complete. No name
leads out of the folder that `batch_config` sets.
"""

from __future__ import annotations

import gzip
import re
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import find_spec
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from upath import UPath

from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.emit.record_lines import encode_records
from tap_zoho_bulk.exceptions import BatchConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from singer_sdk.helpers._batch import BatchConfig

    Write = Callable[[IO[bytes], Iterator[Chunk], Mapping[str, Any]], None]

_LOCAL = frozenset({"", "file", "local"})
_GZIP_LEVEL = 1
"""The fastest: at gzip's usual levels, one core cannot keep up with Zoho's downloads."""


class BatchFiles:
    """Writes one stream's records as files.

    Args:
        stream: Name of the stream.
        schema: Its JSON Schema.
        keys: Its key properties.
        config: The SDK's, with encoding, storage, and the maximum records of a file.

    Raises:
        BatchConfigError: When such files cannot be written.
    """

    def __init__(
        self, stream: str, schema: Mapping[str, Any], keys: Collection[str], config: BatchConfig
    ) -> None:
        encoding, storage = config.encoding, config.storage
        writer = _WRITERS.get((encoding.format, encoding.compression or "none"))
        if writer is None:
            raise BatchConfigError(
                "`batch_config.encoding` must have the `format` jsonl or parquet, and the "
                "`compression` gzip or none."
            )
        if encoding.format == "parquet" and find_spec("pyarrow") is None:
            raise BatchConfigError(
                f"Parquet needs an extra of the tap: {_install('parquet')} Or set "
                "`batch_config.encoding.format` to jsonl."
            )
        self._extension, self._write = writer
        self._format = encoding.format
        self._schema = {**schema, "required": [*keys]}
        size = config.batch_size
        if not isinstance(size, (int, Decimal)) or size < 1 or size % 1:
            raise BatchConfigError("`batch_config.batch_size` must be an integer of at least 1.")
        self.size = int(size)  # maximum records of a file
        prefix = storage.prefix or ""
        if prefix.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", prefix):
            raise BatchConfigError(
                "`batch_config.storage.prefix` must not lead out of `batch_config.storage.root`: "
                "begin it without a slash, and use no `..`."
            )
        try:
            root = UPath(storage.root, **storage.params).resolve()
            self._filesystem = root.fs
        except (ImportError, ValueError) as error:
            raise BatchConfigError(
                f"`batch_config.storage.root` cannot be written to: {error}. S3 needs an extra of "
                f"the tap: {_install('s3')}"
            ) from error
        begin = root / f"{prefix}tap-zoho-bulk--{stream}-"
        self._folder, self._begin = begin.parent, begin.name
        with self._storage_errors():
            self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def chunk_type(self) -> type[Chunk]:
        """The chunk class that is cheapest to write; any other works too."""
        if self._format != "parquet":
            return Chunk
        from tap_zoho_bulk.emit.parquet import ParquetChunk  # noqa: PLC0415 - it needs an extra

        return ParquetChunk

    def write(self, chunks: Iterator[Chunk]) -> Iterator[list[str]]:
        """Write a page's records.

        Args:
            chunks: The records.

        Yields:
            The URLs of files, as soon as they are complete.

        Raises:
            BatchConfigError: When a file cannot be written.
            InvalidValueError: When a value does not fit the format.
        """
        for _, parts in groupby(_by_file(chunks, self.size), key=itemgetter(0)):
            path = self._folder / f"{self._begin}{uuid4()}.{self._extension}"
            with self._storage_errors(), self._new_file(path) as file:
                self._write(file, (chunk for _, chunk in parts), self._schema)
            yield [path.as_uri()]

    @contextmanager
    def _new_file(self, path: UPath) -> Iterator[IO[bytes]]:
        """Open a file that is removed if the block fails; the SDK's own storage would keep it."""
        if path.protocol not in _LOCAL:
            with self._filesystem.transaction, self._filesystem.open(path, "wb") as file:
                yield file
            return
        # In its own folder: moved from another disk, it would have its name before its content.
        draft = Path(self._folder.path, f".{path.name}")
        try:
            with draft.open("wb") as file:
                yield file
            draft.rename(path.path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Turn errors of disks and S3 into one for people."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError) and not _is_of_s3(error):
                raise
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise BatchConfigError(
                f"BATCH files cannot be written to {self._folder}: {why}. Check "
                "`batch_config.storage`, who may write there, and the free space."
            ) from error


def _is_of_s3(error: Exception) -> bool:
    """Return whether S3's library raised an error, such as that there are no credentials."""
    return type(error).__module__.partition(".")[0] in {"aiobotocore", "botocore"}


def _install(extra: str) -> str:
    """Return how to install an extra from a checkout: the tap has no name at a package index."""
    return f"`pip install '/path/to/tap-zoho-bulk[{extra}]'`, with the path of your checkout."


def _by_file(chunks: Iterator[Chunk], size: int) -> Iterator[tuple[int, Chunk]]:
    """Split chunks where a file is full; yield each part with its file's number."""
    count = 0
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            number, taken = divmod(count, size)
            part = chunk.part(start, start + size - taken)
            yield number, part
            start += len(part)
            count += len(part)


def _write_jsonl(file: IO[bytes], chunks: Iterator[Chunk], *_: object) -> None:
    for chunk in chunks:
        file.write(encode_records(chunk))


def _write_jsonl_gzip(file: IO[bytes], chunks: Iterator[Chunk], *_: object) -> None:
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL) as zipped:
        _write_jsonl(zipped, chunks)  # type: ignore[arg-type]


def _write_parquet(
    file: IO[bytes],
    chunks: Iterator[Chunk],
    schema: Mapping[str, Any],
    compression: str = "none",
) -> None:
    from tap_zoho_bulk.emit import parquet  # noqa: PLC0415 - it needs an extra

    level = _GZIP_LEVEL if compression == "gzip" else None
    parquet.write(file, chunks, schema, compression=compression, level=level)


def _write_parquet_gzip(
    file: IO[bytes], chunks: Iterator[Chunk], schema: Mapping[str, Any]
) -> None:
    _write_parquet(file, chunks, schema, "gzip")


_WRITERS: dict[tuple[str, str], tuple[str, Write]] = {
    ("jsonl", "none"): ("jsonl", _write_jsonl),
    ("jsonl", "gzip"): ("jsonl.gz", _write_jsonl_gzip),
    ("parquet", "none"): ("parquet", _write_parquet),
    ("parquet", "gzip"): ("gz.parquet", _write_parquet_gzip),
}
