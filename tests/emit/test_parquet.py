"""Parquet files have exactly the values of the record path, whatever the cells."""

from __future__ import annotations

import io
import re
from datetime import date, datetime, timezone
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_bulk.crm.field_types import json_schema
from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.decode.csv_page import CsvDecoder
from tap_zoho_bulk.decode.invalid_values import InvalidValues
from tap_zoho_bulk.emit import parquet
from tap_zoho_bulk.exceptions import InvalidValueError, PageDamagedError
from tests.support.pages import csv_bytes, page_of, zipped
from tests.support.tables import CELLS, ID, SEPARATOR, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.tables import Table

Records = list[dict[str, Any]]

# Cells that Arrow reads differently from the record path, not at all, or only just.
ODD_CELLS = {
    "integer": [
        *("-", "--5", "5-", "1-2", "-0", "007", "+5", "12.0", "12.5", "0x10", "1e3", " 1", "1_0"),
        *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "0" * 2000 + "1"),
    ],
    "double": [
        *(".", "-.", "-", "1.2.3", "5.", ".5", "-.5", "1e3", "1E-30", "NaN", "Infinity", "+1"),
        *("1" + "0" * 19, "1" + "0" * 20, "9" * 20 + "." + "9" * 18, "9" * 60, "0" * 60 + "1"),
        *("9999999999999999999999999980029367023879.14584155", "1" * 38, "1" * 21, "-" + "9" * 30),
        *("0." + "0" * 18 + "1", "0.1" + "0" * 18, "0" * 2000 + "1", "1." + "0" * 60),
    ],
    "boolean": ["0", "1", "TRUE", "fAlSe", "tru", "truefalse", "t", "yes"],
    "date": [
        *("0000-01-01", "0001-01-01", "9999-12-31", "2024-02-29", "2023-02-29", "20240102"),
        *("2024-1-2", "-024-01-01", "2024-01-02T00:00:00+00:00"),
    ],
    "datetime": [
        *("0000-12-31T23:00:00-08:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-01:00"),
        *("9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59+01:00", "2024-01-02T24:00:00+00:00"),
        *("2024-01-02T03:04:60+00:00", "2024-01-02T03:04:05+24:00", "2024-01-02T03:04:05-23:59"),
        *("2024-01-02 03:04:05+05:30", "2024-01-02T03:04:05", "2024-01-02T03:04:05+0530"),
        *("2024-01-02T03:04:05.250+05:30", "2024-01-02T03:04:05.250000-08:00", "2024-01-02"),
        *("2024-01-02T03:04+05:30", "2024-01-02T03+05:30", "2024-02-30T00:00:00+00:00"),
        *("2024-01-02T03:04:05+05", "2024-01-02T03:04-07:00:00"),
    ],
    "text": [" ", "null", "\0", "\ufeff", "a\r\nb", '"', "x" * 70_000],
    "multiselectpicklist": [";", ";;", "a;;b", "a;b", "\0;x"],
}


def cells_of(data_type: str) -> st.SearchStrategy[str]:
    usual = CELLS[data_type].map(lambda cell: cell[0])
    return st.one_of(usual, st.sampled_from(ODD_CELLS[data_type]), st.just(""))


def decoder_of(
    properties: Mapping[str, Any],
    chunk_type: type[Chunk],
    *,
    invalid: InvalidValues | None = None,
) -> CsvDecoder:
    return CsvDecoder(
        schema_of(properties),
        {name: name for name in properties},
        multiselect_separator=SEPARATOR,
        invalid=invalid or InvalidValues(become_null=False),
        chunk_type=chunk_type,
    )


def schema_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"id": {"type": ["string"]}, **properties}}


def in_parquet(chunks: Sequence[Chunk], properties: Mapping[str, Any]) -> Records:
    """Return records written to Parquet and read again, with values as on the record path."""
    file = io.BytesIO()
    if not chunks:
        return []
    parquet.write(
        file,
        iter(chunks),
        {**schema_of(properties), "required": ["id"]},
        compression="none",
        level=None,
    )
    table = pq.read_table(file)
    # Instants as numbers: Python's do not reach as far as Zoho's in every zone.
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.int64()))
    records: Records = table.to_pylist()
    return records


def expected(records: Records, properties: Mapping[str, Any]) -> Records:
    """Return records of the record path, with values as `in_parquet` returns them."""

    def value(name: str, said: Any) -> Any:
        form = properties.get(name, {}).get("format")
        if said is None or form is None:
            return said
        if form == "date":
            return date.fromisoformat(said)
        since = datetime.fromisoformat(said) - datetime(1970, 1, 1, tzinfo=timezone.utc)
        return (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds

    return [{name: value(name, said) for name, said in record.items()} for record in records]


def fits(value: Any) -> bool:
    if isinstance(value, Decimal):
        scaled = value.scaleb(18, Context(prec=5000, Emax=99999, Emin=-99999))
        return scaled.copy_abs() < 10**38 and scaled == scaled.to_integral_value()
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def compare(content: bytes, count: int, properties: Mapping[str, Any], *, null: bool) -> None:
    """Decode a page for records and for Parquet, and compare the results."""
    invalid_said, invalid_written = (InvalidValues(become_null=null) for _ in range(2))
    said = decoder_of(properties, Chunk, invalid=invalid_said)
    written = decoder_of(properties, parquet.ParquetChunk, invalid=invalid_written)
    try:
        records = list(said.records(page_of(zipped(content), count=count)))
    except (InvalidValueError, PageDamagedError) as error:
        with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"):
            list(written.chunks(page_of(zipped(content), count=count)))
        return
    chunks = list(written.chunks(page_of(zipped(content), count=count)))
    assert invalid_written.count == invalid_said.count
    for name, schema in properties.items():
        if schema.get("format") == "date-time":
            assert max(filter(None, (each.maximum(name) for each in chunks)), default=None) == max(
                (record[name] for record in records if record[name]), default=None
            )
    unfit = [
        (record["id"], name) for name in properties for record in records if not fits(record[name])
    ]
    if unfit:
        with pytest.raises(InvalidValueError) as raised:
            in_parquet(chunks, properties)
        assert str(raised.value).startswith(f"record {unfit[0][0]}: `{unfit[0][1]}` ")
        return
    assert in_parquet(chunks, properties) == expected(records, properties)


@settings(max_examples=150, deadline=None)
@given(table=tables(max_rows=20), null=st.booleans())
def test_any_table_is_in_parquet_as_in_records(table: Table, null: bool) -> None:  # noqa: FBT001
    lines = table.lines("Id", list(range(1 + len(table.types))), [])

    compare(csv_bytes(lines), len(table.rows), table.properties, null=null)


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("data_type", sorted(ODD_CELLS))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_odd_cells_are_in_parquet_as_in_records(
    data: st.DataObject,
    data_type: str,
    null: bool,  # noqa: FBT001
) -> None:
    cells = data.draw(st.lists(cells_of(data_type), min_size=1, max_size=8))
    properties = {"Field": json_schema({"data_type": data_type}, multiselect_array=True)}
    rows = [["Id", "Field"], *([f"{ID}{number}", cell] for number, cell in enumerate(cells))]

    compare(csv_bytes(rows), len(cells), properties, null=null)


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize(
    ("data_type", "cell"), [(kind, cell) for kind in ODD_CELLS for cell in ODD_CELLS[kind]]
)
def test_one_odd_cell_alone(data_type: str, cell: str, null: bool) -> None:  # noqa: FBT001
    properties = {"Field": json_schema({"data_type": data_type}, multiselect_array=True)}

    compare(csv_bytes([["Id", "Field"], [ID, cell]]), 1, properties, null=null)


@pytest.mark.parametrize("odd", ["twelve", "+12", "12.0", b"\xff"])
def test_what_stands_far_into_a_page_is_in_parquet_as_in_records(odd: str | bytes) -> None:
    """This page has some chunks, each of many portions of rows."""
    count = 9_000
    rows = [["Id", "Number", "At", "Text"]]
    for number in range(count):
        at = datetime.fromtimestamp(1_700_000_000 + number % 7_000, timezone.utc).isoformat()
        rows.append([f"{ID}{number}", str(number), at, "Müller" * 100 if number % 3 else ""])
    rows[5_000][1] = rows[8_999][1] = "ODD"
    content = csv_bytes(rows).replace(b"ODD", odd.encode() if isinstance(odd, str) else odd)
    properties = {
        "Number": json_schema({"data_type": "integer"}, multiselect_array=False),
        "At": json_schema({"data_type": "datetime"}, multiselect_array=False),
        "Text": json_schema({"data_type": "text"}, multiselect_array=False),
    }
    chunks = list(
        decoder_of(
            properties, parquet.ParquetChunk, invalid=InvalidValues(become_null=True)
        ).chunks(page_of(zipped(content), count=count))
    )

    assert 1 < len(chunks) < 10
    for null in (False, True):
        compare(content, count, properties, null=null)


def test_empty_lines_alone_are_no_records() -> None:
    properties = {"Number": json_schema({"data_type": "integer"}, multiselect_array=False)}

    compare(b"Id,Number\r\n\r\n\r\n", 0, properties, null=False)


def test_values_are_written_too() -> None:
    """Streams that do not read CSV have only values."""
    properties: dict[str, Any] = {
        "Amount": {"type": ["number", "null"]},
        "Day": {"type": ["string", "null"], "format": "date"},
        "Names": {"type": ["array", "null"], "items": {"type": ["string"]}},
    }
    chunk = Chunk(
        {
            "id": ["1", "2"],
            "Amount": [Decimal("1.10"), None],
            "Day": [None, "2024-02-29"],
            "Names": [["a", "b"], None],
        }
    )

    assert in_parquet([chunk], properties) == expected(list(chunk), properties)
    chunk.columns["Amount"] = [Decimal(1), Decimal("1e30")]
    with pytest.raises(InvalidValueError, match=r"record 2: `Amount`.*jsonl"):
        in_parquet([chunk], properties)
