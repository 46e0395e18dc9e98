"""Parquet files, written from Arrow arrays that are made without a Python value for each cell.

Invariant: an array holds exactly the values that Python's CSV reader and `decode.cells` return for
the same rows. Arrow parses rows and cells in the forms that Zoho writes; what it might parse
differently goes to these two.

This file needs the extra `parquet`, so it is imported only when it is used.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal, Inexact, InvalidOperation
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, NamedTuple

# Arrow's other pools keep about 20 MB that are not in use. Arrow reads this when it is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from typing_extensions import override

from tap_zoho_bulk.decode import cells as cell_values
from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.exceptions import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_zoho_bulk.decode.cells import Converter

_ROW_GROUP_BYTES = 1 << 24

_NUMBER_DIGITS, _NUMBER_SCALE = 38, 18
"""Zoho documents up to 16 digits and 9 decimal places; all readers support 38."""

_TEXT = pa.string()
_SEPARATOR = "\0"
"""Cells are buffered as one joined string, which Arrow splits faster than it converts strings."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class ParquetChunk(Chunk):
    """Some records, column by column: Arrow arrays, or values if Arrow cannot parse the cells."""

    csv_bytes = 1 << 20

    @staticmethod
    @override
    def parsed(rows: bytes, width: int, places: Sequence[int]) -> list[Any] | None:
        names = list(map(str, range(width)))
        used = [names[place] for place in places]
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(rows),
                pa_csv.ReadOptions(use_threads=False, block_size=len(rows) + 1, column_names=names),
                # An empty line is an error, as any row of another width.
                pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                pa_csv.ConvertOptions(
                    include_columns=[*{*used}], column_types=dict.fromkeys(used, _TEXT)
                ),
                memory_pool=_parsing_pool(),
            ).combine_chunks()
        except pa.ArrowException:
            return None  # A row of another width, or bytes that are not UTF-8.
        columns = [table[name].chunk(0) for name in used]
        return columns if pc.all(pc.not_equal(columns[0], "")).as_py() else None

    @staticmethod
    @override
    def pack(cells: Any) -> Any:
        if isinstance(cells, pa.Array):
            return cells
        text = _SEPARATOR.join(cells)
        is_plain = cells and text.count(_SEPARATOR) == len(cells) - 1
        return text if is_plain else pa.array(cells, _TEXT)

    @staticmethod
    @override
    def joined(portions: Sequence[Any]) -> Any:
        if all(isinstance(portion, str) for portion in portions):
            return _split(_SEPARATOR.join(portions))
        # Even a single array is copied, from the pool for parsing.
        return pa.concat_arrays(
            [_split(each) if isinstance(each, str) else each for each in portions]
        )

    @staticmethod
    @override
    def converter(schema: Mapping[str, Any], *, multiselect_separator: str | None) -> Converter:
        kind = _type_of(schema)
        read = cell_values.converter(schema, multiselect_separator=multiselect_separator)

        def convert(cells: Any) -> Sequence[Any]:
            array = _read(cells, kind, multiselect_separator)
            return read(cells.to_pylist()) if array is None else array

        return convert

    @override
    def maximum(self, name: str) -> str | None:
        column = self.columns.get(name)
        if not isinstance(column, pa.Array):
            return super().maximum(name)
        microseconds = pc.max(column).value
        if microseconds is None:
            return None
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()


def write(
    file: IO[bytes],
    chunks: Iterator[Chunk],
    schema: Mapping[str, Any],
    *,
    compression: str,
    level: int | None,
) -> None:
    """Write a file.

    Args:
        file: Open for writing.
        chunks: The records, at least one chunk.
        schema: Their JSON Schema, whose `required` names the keys.
        compression: Of the columns, none or gzip.
        level: Of the compression.

    Raises:
        InvalidValueError: When a value does not fit its column's type.
    """
    first = next(chunks)
    keys = schema["required"]
    fields = pa.schema(
        _field(name, schema["properties"][name], is_key=name in keys) for name in first.columns
    )
    options = {
        "compression": compression,
        "compression_level": level,
        # Zoho promises no order, so the minimum and maximum text of some rows help no reader.
        "write_statistics": [field.name for field in fields if not pa.types.is_string(field.type)],
    }
    with pq.ParquetWriter(file, fields, **options) as writer:
        group: list[pa.RecordBatch] = []
        size = 0
        for chunk in chain([first], chunks):
            group.append(_record_batch(chunk, fields, keys))
            size += group[-1].nbytes
            if size >= _ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group, fields))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_batches(group, fields))


def _field(name: str, schema: Mapping[str, Any], *, is_key: bool = False) -> pa.Field:
    # A catalog can make a key of any property.
    return pa.field(name, _type_of(schema), nullable=not is_key or "null" in _types(schema))


def _types(schema: Mapping[str, Any]) -> set[str]:
    return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])


def _type_of(schema: Mapping[str, Any]) -> pa.DataType:
    """Return the Arrow type of a property's values."""
    types = _types(schema)
    if "array" in types:
        items = schema.get("items", {}).get("properties")
        return pa.list_(pa.struct([_field(*each) for each in items.items()]) if items else _TEXT)
    if "string" in types:
        formats = {"date": pa.date32(), "date-time": pa.timestamp("us", "UTC")}
        return formats.get(schema.get("format", ""), pa.string())
    if "object" in types:
        properties = schema.get("properties")
        if not properties:
            return pa.map_(_TEXT, _TEXT)
        return pa.struct([_field(*each) for each in properties.items()])
    simple = {
        "integer": pa.int64(),
        "number": pa.decimal128(_NUMBER_DIGITS, _NUMBER_SCALE),
        "boolean": pa.bool_(),
    }
    return next((simple[each] for each in simple if each in types), pa.string())


def _record_batch(chunk: Chunk, fields: pa.Schema, keys: Sequence[str]) -> pa.RecordBatch:
    arrays = []
    for field in fields:
        values = chunk.columns[field.name]
        try:
            arrays.append(_array_of(values, field.type))
        except _UNFIT as error:
            place = _first_unfit(values, field.type)
            found = [chunk.columns[key][place] for key in keys if key in chunk.columns]
            raise InvalidValueError(
                f"record {', '.join(map(str, found))}: `{field.name}` has a value that "
                f"does not fit Parquet's {field.type}. Deselect the field, or set "
                "`batch_config.encoding.format` to jsonl."
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=fields)


_UNFIT = (pa.ArrowException, ArithmeticError)
_STEP = Decimal(1).scaleb(-_NUMBER_SCALE)
_exact = Context(prec=_NUMBER_DIGITS, traps=[Inexact, InvalidOperation])


def _array_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return values as an array."""
    if isinstance(values, pa.Array):
        return values
    if pa.types.is_temporal(kind):
        return pa.array(values, pa.string()).cast(kind)
    if pa.types.is_map(kind):
        values = [value if value is None else list(value.items()) for value in values]
    if pa.types.is_decimal(kind):
        # Arrow refuses more digits than its own, even trailing zeros.
        values = [
            value.quantize(_STEP, context=_exact) if isinstance(value, Decimal) else value
            for value in values
        ]
    return pa.array(values, kind)


def _first_unfit(values: Sequence[Any], kind: pa.DataType) -> int:
    for place, value in enumerate(values):
        try:
            _array_of([value], kind)
        except _UNFIT:  # noqa: PERF203 - a value does not fit
            return place
    return 0


def _parsing_pool() -> pa.MemoryPool:
    """Return the pool for parsing, which needs as many bytes for each column as for all of them.

    In the system's pool, what is kept of them leaves gaps, of some 40 MB.
    """
    try:
        return pa.mimalloc_memory_pool()
    except NotImplementedError:  # Arrow can be built without it.
        return pa.default_memory_pool()


class _Form(NamedTuple):
    """A form of cells that Arrow parses as `decode.cells` does.

    Args:
        characters: All characters that cells may contain.
        max_length: Of a cell, in characters.
        same_length: Whether all cells have the maximum length.
        without: What no cell may contain.
    """

    characters: bytes
    max_length: int
    same_length: bool = False
    without: tuple[bytes, ...] = ()


_DIGITS = b"0123456789"
_FORMS = {
    pa.int64(): _Form(_DIGITS + b"-", cell_values.MAX_DIGITS),
    # Arrow does not detect every number that is too large, so all of these are small enough.
    pa.decimal128(_NUMBER_DIGITS, _NUMBER_SCALE): _Form(
        _DIGITS + b"-.", _NUMBER_DIGITS - _NUMBER_SCALE
    ),
    # Arrow also accepts 0 and 1.
    pa.bool_(): _Form(b"TRUEtrueFALSfals", len("false")),
    # Arrow accepts the year 0.
    pa.date32(): _Form(_DIGITS + b"-", len("2024-01-02"), without=(b"0000-",)),
    # In UTC, an instant of the first or last year may be in a year that Python does not support.
    pa.timestamp("us", "UTC"): _Form(
        _DIGITS + b"-T:+",
        len("2024-01-02T03:04:05+06:00"),
        same_length=True,
        without=(b"0000-", b"0001-", b"9999-"),
    ),
}


def _split(text: str) -> pa.StringArray:
    return pc.split_pattern(pa.array([text], _TEXT), _SEPARATOR).values


def _read(cells: pa.StringArray, kind: pa.DataType, separator: str | None) -> pa.Array | None:
    """Return cells as an array of their values; None if Arrow may parse them differently."""
    lengths = pc.binary_length(cells)
    filled = pc.not_equal(lengths, 0)
    # An empty cell is null. Arrow stores which cells are null in the way it stores booleans.
    _, offsets, characters = cells.buffers()
    buffers = [filled.buffers()[1], offsets, characters]
    texts = pa.Array.from_buffers(pa.string(), len(cells), buffers)
    if pa.types.is_string(kind):
        return texts
    if pa.types.is_list(kind):
        return pc.split_pattern(texts, separator)
    form = _FORMS[kind]
    data = bytes(characters or b"")
    if (
        data.translate(None, form.characters)
        or (pc.max(lengths).as_py() or 0) > form.max_length
        or (form.same_length and len(data) != (len(texts) - texts.null_count) * form.max_length)
        or any(each in data for each in form.without)
    ):
        return None
    try:
        return texts.cast(kind)
    except pa.ArrowException:
        return None  # A cell may be invalid, or not fit.
