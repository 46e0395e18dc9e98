"""The DuckDB loader stores every row as sent, however small and unusual the batch."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from local_zoho_crm.awkward import AWKWARD_TEXTAREAS
from tests.support.meltano_project import loader_executable
from tests.support.warehouse import SCHEMA, DuckDBWarehouse

if TYPE_CHECKING:
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
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {
                "filepath": str(tmp_path / "test.duckdb"),
                "default_target_schema": SCHEMA,
                "batch_size_rows": batch_size,
                "add_metadata_columns": metadata,
            }
        )
    )
    subprocess.run(
        [loader_executable("target-duckdb", "target-duckdb-strict"), "--config", config],
        input="".join(json.dumps(message) + "\n" for message in messages),
        capture_output=True,
        text=True,
        check=True,
    )

    table = DuckDBWarehouse(tmp_path / "test.duckdb").table("Leads")
    assert table
    loaded = {
        row["id"]: {name: row[name.lower()] for name in ("id", "Text", "Other", "Empty")}
        for row in table.rows
    }
    assert loaded == {record["id"]: record for record in records}
