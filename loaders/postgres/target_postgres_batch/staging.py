"""A BATCH file as Arrow record batches, as ADBC copies them into a temporary table.

Columns of simple values go as they are. The others, and everything in jsonl, go as one column of
JSON objects, which PostgreSQL takes apart itself.
"""

from __future__ import annotations

import gzip
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# Arrow's other pools keep memory that is not in use. Arrow reads this when it is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import simplejson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

JSON_COLUMN = "_batch_json"

_PARQUET_ROWS = 4096
_JSONL_BYTES = 1 << 22

# NUL in JSON, whose backslash is not escaped itself
_escaped_nul = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True)
class Staged:
    """A file's records.

    Args:
        reader: Their batches.
        simple: The columns that contain a property's values.
        nested: The properties in the column of JSON objects.
    """

    reader: pa.RecordBatchReader
    simple: frozenset[str]
    nested: frozenset[str]


@contextmanager
def staged(
    path: Path, encoding: Mapping[str, str], properties: Iterable[str], *, replace_nul: bool
) -> Iterator[Staged]:
    """Open a file.

    Args:
        path: The file.
        encoding: As the BATCH message has it.
        properties: The properties of its records.
        replace_nul: Whether U+FFFD is to replace NUL, which PostgreSQL cannot store.
    """
    if encoding["format"] == "parquet":
        with pq.ParquetFile(path) as file:
            fields = {field.name: field.type for field in file.schema_arrow}
            nested = [name for name, kind in fields.items() if pa.types.is_nested(kind)]
            simple = [name for name in fields if name not in nested]
            schema = pa.schema([(name, fields[name]) for name in simple])
            if nested:
                schema = schema.append(pa.field(JSON_COLUMN, pa.string()))
            batches = (
                _staged_batch(batch, schema, nested, replace_nul=replace_nul)
                for batch in file.iter_batches(_PARQUET_ROWS)
            )
            yield Staged(
                pa.RecordBatchReader.from_batches(schema, batches),
                frozenset(simple),
                frozenset(nested),
            )
    else:
        is_gzip = encoding.get("compression") == "gzip"
        with gzip.open(path) if is_gzip else path.open("rb") as lines:
            schema = pa.schema([(JSON_COLUMN, pa.string())])
            batches = (
                pa.record_batch([_texts(portion, replace_nul=replace_nul)], schema=schema)
                for portion in iter(lambda: lines.readlines(_JSONL_BYTES), [])
            )
            yield Staged(
                pa.RecordBatchReader.from_batches(schema, batches),
                frozenset(),
                frozenset(properties),
            )


def _staged_batch(
    batch: pa.RecordBatch, schema: pa.Schema, nested: list[str], *, replace_nul: bool
) -> pa.RecordBatch:
    columns = []
    for field in schema:
        if field.name == JSON_COLUMN:
            rows = batch.select(nested).to_pylist(maps_as_pydicts="strict")
            texts = [simplejson.dumps(row, use_decimal=True, default=str) for row in rows]
            columns.append(_texts(texts, replace_nul=replace_nul))
        elif replace_nul and pa.types.is_string(field.type):
            columns.append(pc.replace_substring(batch[field.name], "\0", "\ufffd"))
        else:
            columns.append(batch[field.name])
    return pa.record_batch(columns, schema=schema)


def _texts(lines: list[Any], *, replace_nul: bool) -> pa.Array:
    texts = pa.array(lines, pa.string())
    if not replace_nul or not pc.any(pc.match_substring(texts, "\\u0000")).as_py():
        return texts
    return pa.array([_escaped_nul.sub(r"\1\\ufffd", text) for text in texts.to_pylist()])
