"""The DuckDB loader stores every row as sent, however small and unusual the batch."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_zoho_crm.awkward import AWKWARD_TEXTAREAS
from tests.support.loaders import duckdb_loader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = [*AWKWARD_TEXTAREAS, "'", "'quoted'", "\\", '\\"', '"\\', "a|b", "Text", "1,2\t3;4"]


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
@pytest.mark.parametrize("metadata", [True, False])
def test_text_arrives_as_it_was_sent(tmp_path: Path, batch_size: int, *, metadata: bool) -> None:
    text = {"type": ["string", "null"]}
    records = [
        {"id": str(number), "Text": each, "Other": other, "Empty": None}
        for number, (each, other) in enumerate(zip(TEXTS, reversed(TEXTS), strict=True))
    ]
    schema = {
        "type": "SCHEMA",
        "stream": "Leads",
        "key_properties": ["id"],
        "schema": {"properties": {"id": text, "Text": text, "Other": text, "Empty": text}},
    }
    messages = [schema, *({"type": "RECORD", "stream": "Leads", "record": r} for r in records)]
    loader = duckdb_loader(tmp_path / "loader")
    with loader.start(batch_size_rows=batch_size, add_metadata_columns=metadata) as running:
        running.send(*messages)
        exit_code, _, log = running.end()

    assert exit_code == 0, log
    table = loader.warehouse.table("Leads")
    assert table
    loaded = {
        row["id"]: {name: row[name.lower()] for name in ("id", "Text", "Other", "Empty")}
        for row in table.rows
    }
    assert loaded == {record["id"]: record for record in records}


@pytest.mark.parametrize(
    ("number_type", "column_type", "stored"),
    [
        ("decimal", "DECIMAL(38,18)", Decimal),
        ("text", "VARCHAR", lambda text: format(Decimal(text).normalize(), "f")),
    ],
)
def test_numbers_keep_every_digit_if_the_user_wants_that(
    tmp_path: Path, number_type: str, column_type: str, stored: Callable[[str], Any]
) -> None:
    numbers = ["0.123456789012345678", "-98765432109876543210.5", "100", "1.50", "0.000000001"]
    path = tmp_path / "file.parquet"
    table = {"id": list(map(str, range(len(numbers)))), "Number": list(map(Decimal, numbers))}
    fields = pa.schema([("id", pa.string()), ("Number", pa.decimal128(38, 18))])
    pq.write_table(pa.table(table, fields), path)
    properties = {"id": {"type": ["string"]}, "Number": {"type": ["number", "null"]}}
    loader = duckdb_loader(tmp_path / "loader")
    with loader.start(number_type=number_type) as running:
        for stream in ("Files", "Records"):
            running.send(
                {
                    "type": "SCHEMA",
                    "stream": stream,
                    "key_properties": ["id"],
                    "schema": {"properties": properties},
                }
            )
        encoding = {"format": "parquet", "compression": "none"}
        running.send(
            {
                "type": "BATCH",
                "stream": "Files",
                "encoding": encoding,
                "manifest": [path.as_uri()],
            }
        )
        for number, text in enumerate(numbers):
            record = f'{{"id": "{number}", "Number": {text}}}'
            running.write(f'{{"type": "RECORD", "stream": "Records", "record": {record}}}\n')
        exit_code, _, log = running.end()

    assert exit_code == 0, log
    for stream in ("Files", "Records"):
        found = loader.warehouse.table(stream)
        assert found
        assert found.columns["number"] == column_type
        assert {row["id"]: row["number"] for row in found.rows} == {
            str(number): stored(text) for number, text in enumerate(numbers)
        }
