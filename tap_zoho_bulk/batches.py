"""BATCH: pages as files, written straight from columns.

Invariant: a file holds records of one page, and is there under its name only when it is whole.
"""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import find_spec
from itertools import chain, groupby
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from upath import UPath

from tap_zoho_bulk.exceptions import BatchConfigError, InvalidValueError
from tap_zoho_bulk.messages import encode_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa
    from singer_sdk.helpers._batch import BatchConfig

    from tap_zoho_bulk.bulk_read.rows import Chunk

    Write = Callable[[IO[bytes], Iterator[Chunk], Mapping[str, Any]], None]

_GZIP_LEVEL = 1
"""The quickest: at gzip's usual levels, one core cannot keep up with Zoho's downloads."""
_ROW_GROUP_BYTES = 1 << 24

_NUMBER_DIGITS, _NUMBER_SCALE = 38, 18
"""Zoho documents 16 digits and 9 decimal places at most; 38 is what all readers know."""


class BatchFiles:
    """Writes one stream's records as files.

    Args:
        stream: Name of the stream.
        schema: Its JSON Schema.
        config: As the SDK has it: encoding, storage, and the most records of a file.

    Raises:
        BatchConfigError: When such files cannot be written.
    """

    def __init__(self, stream: str, schema: Mapping[str, Any], config: BatchConfig) -> None:
        encoding, storage = config.encoding, config.storage
        known = _WRITERS.get((encoding.format, encoding.compression or "none"))
        if known is None:
            raise BatchConfigError(
                "`batch_config.encoding` must have the `format` jsonl or parquet, and the "
                "`compression` gzip or none."
            )
        if encoding.format == "parquet" and find_spec("pyarrow") is None:
            raise BatchConfigError(
                "Parquet needs more: pip install 'tap-zoho-bulk[parquet]', or set "
                "`batch_config.encoding.format` to jsonl."
            )
        self._ending, self._write = known
        self._schema = schema
        self._size = config.batch_size
        if not isinstance(self._size, (int, Decimal)) or self._size < 1 or self._size % 1:
            raise BatchConfigError("`batch_config.batch_size` must be a whole number from 1 on.")
        self._prefix = f"{storage.prefix or ''}tap-zoho-bulk--{stream}-"
        try:
            self._root = UPath(storage.root, **storage.params).resolve()
            self._filesystem = self._root.fs
        except (ImportError, ValueError) as error:
            raise BatchConfigError(
                f"`batch_config.storage.root` cannot be written to: {error}. S3 needs more: "
                "pip install 'tap-zoho-bulk[s3]'."
            ) from error

    def write(self, chunks: Iterator[Chunk]) -> Iterator[list[str]]:
        """Write a page's records.

        Args:
            chunks: The records.

        Yields:
            The URLs of files as soon as they are whole.

        Raises:
            InvalidValueError: When a value does not fit the format.
        """
        for _, parts in groupby(_by_file(chunks, self._size), key=itemgetter(0)):
            path = self._root / f"{self._prefix}{uuid4()}.{self._ending}"
            with self._new_file(path) as file:
                self._write(file, (chunk for _, chunk in parts), self._schema)
            yield [path.as_uri()]

    @contextmanager
    def _new_file(self, path: UPath) -> Iterator[IO[bytes]]:
        """Open a file that goes away if what follows fails, as the SDK's own storage does not."""
        self._root.mkdir(parents=True, exist_ok=True)
        with self._filesystem.transaction, self._filesystem.open(path, "wb") as file:
            yield file


def _by_file(chunks: Iterator[Chunk], size: int) -> Iterator[tuple[int, Chunk]]:
    """Cut chunks where a file is full; give each part with its file's number."""
    count = 0
    for chunk in chunks:
        start = 0
        while start < len(chunk):
            number, taken = divmod(count, int(size))
            part = chunk.part(start, start + size - taken)
            yield number, part
            start += len(part)
            count += len(part)


def _write_jsonl(file: IO[bytes], chunks: Iterator[Chunk], _: Mapping[str, Any]) -> None:
    for chunk in chunks:
        file.write(encode_records(chunk))


def _write_jsonl_gzip(file: IO[bytes], chunks: Iterator[Chunk], schema: Mapping[str, Any]) -> None:
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL) as zipped:
        _write_jsonl(zipped, chunks, schema)  # type: ignore[arg-type]


def _write_parquet(
    file: IO[bytes],
    chunks: Iterator[Chunk],
    schema: Mapping[str, Any],
    compression: str = "none",
) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    first = next(chunks)
    fields = pa.schema(_field(name, schema["properties"][name]) for name in first.columns)
    options: dict[str, Any] = {"compression": compression, "compression_level": None}
    if compression == "gzip":
        options["compression_level"] = _GZIP_LEVEL
    with pq.ParquetWriter(file, fields, **options) as writer:
        group: list[pa.RecordBatch] = []
        size = 0
        for chunk in chain([first], chunks):
            group.append(_record_batch(chunk, fields))
            size += group[-1].nbytes
            if size >= _ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group, fields))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_batches(group, fields))


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


def _field(name: str, schema: Mapping[str, Any]) -> pa.Field:
    """Give the Arrow type of a property's values."""
    import pyarrow as pa  # noqa: PLC0415

    items = schema.get("items", {}).get("properties")
    types = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    simple = {
        "array": pa.list_(
            pa.struct([_field(*each) for each in items.items()]) if items else pa.string()
        ),
        "integer": pa.int64(),
        "number": pa.decimal128(_NUMBER_DIGITS, _NUMBER_SCALE),
        "boolean": pa.bool_(),
    }
    formats = {"date": pa.date32(), "date-time": pa.timestamp("us", "UTC")}
    if "string" in types:
        kind = formats.get(schema.get("format", ""), pa.string())
    else:
        kind = next((simple[each] for each in simple if each in types), pa.string())
    return pa.field(name, kind, nullable=name != "id")


def _record_batch(chunk: Chunk, fields: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415

    arrays = []
    keys = next(iter(chunk.columns.values()))
    for field in fields:
        values = chunk.columns[field.name]
        try:
            if pa.types.is_temporal(field.type):
                arrays.append(pa.array(values, pa.string()).cast(field.type))
            else:
                arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, OverflowError) as error:
            raise InvalidValueError(
                f"`{field.name}` has a value that does not fit Parquet's {field.type}, in one of "
                f"{len(chunk)} records from {keys[0]} on. Deselect the field, or "
                "set `batch_config.encoding.format` to jsonl."
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=fields)
