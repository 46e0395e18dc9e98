"""Pages that Arrow parses become the records of Python's CSV reader, whatever their bytes."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_bulk.crm.field_types import json_schema
from tap_zoho_bulk.decode import csv_block, csv_page
from tap_zoho_bulk.decode.csv_file import take_rows
from tap_zoho_bulk.decode.invalid_values import InvalidValues
from tap_zoho_bulk.emit import parquet
from tests.emit.test_parquet import compare, decoder_of, in_parquet
from tests.support.pages import csv_bytes, page_of, zipped
from tests.support.tables import ID, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.tables import Table

PROPERTIES = {
    name: json_schema({"data_type": data_type}, multiselect_array=True)
    for name, data_type in {
        "Text": "text",
        "Number": "integer",
        "Many": "multiselectpicklist",
    }.items()
}
HEADER = b"Id,Text,Number,Many,Not selected\r\n"
TEXTS = [b"x", b"7", b"M\xc3\xbcller", b"a b", b"\0", b"\xef\xbb\xbf", b"x" * 200]
CELLS = [
    *(
        b"",
        b'""',
        b'"a,b"',
        b'"a\r\nb"',
        b'"a\n\nb"',
        b'"a\rb"',
        b'"a ""b"" c"',
        b'""""',
        b'"""a"""',
    ),
    *(b'"', b'a"b', b'a""b', b'a"', b'"a"b', b'""a', b'"a"b"c', b'"a" ', b' "a"', b'"""', b'"a""'),
    *(
        b"a\rb",
        b"\r",
        b"\n",
        b"\xff",
        b'"\xc3"',
        b"\xed\xa0\x80",
        b"\xc3",
        b",",
        b"\\",
        b"\\,",
        b"'a,b'",
    ),
    *(
        b"NULL",
        b"#N/A",
        b"nan",
        b"true",
        b"2024-01-02",
        b"\xe2\x80\xa8",
        b"\x0b",
        b"\x0c",
        b"\x1c",
        b"\x85",
    ),
]
MANY = b"\r\n" * 1_100
LINE_ENDS = [b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n", b"\n\n", b"", b"\r\n,\r\n", MANY]

usual_cell = st.sampled_from(TEXTS)
cell = st.one_of(usual_cell, usual_cell, usual_cell, st.sampled_from(CELLS))
line_end = st.one_of(*[st.just(LINE_ENDS[0])] * 6, st.sampled_from(LINE_ENDS))


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """Return what may follow a header: rows in which little or much is irregular."""
    width = draw(st.sampled_from([5, 5, 5, 5, 4, 6]))
    rows = []
    for number in range(draw(st.integers(0, 8))):
        cells = [f"{ID}{number}".encode(), *draw(st.lists(cell, min_size=4, max_size=width))]
        rows.append(b",".join(cells) + draw(line_end))
    return b"".join(rows)


def rows_of(content: bytes) -> int:
    """Return how many rows Python's reader finds, so that the page is complete."""
    text = io.StringIO(content.decode(errors="surrogateescape"), newline="")
    try:
        return sum(map(bool, csv.reader(text, strict=True)))
    except csv.Error:
        return 1


@settings(max_examples=150, deadline=None)
@given(content=contents(), block=st.sampled_from([8, 60, 200, 1 << 19]), null=st.booleans())
def test_any_page_is_in_parquet_as_in_records(
    content: bytes,
    block: int,
    null: bool,  # noqa: FBT001
) -> None:
    """Errors, the records that they name, and the number of nulls are also the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_block, "BLOCK_BYTES", block)
        compare(HEADER + content, rows_of(content), PROPERTIES, null=null)


@pytest.mark.parametrize("place", [0, 1, 4])
def test_any_cell_alone(place: int) -> None:
    cells = [ID.encode(), b"a", b"1", b"b;c", b"d"]
    for cells[place] in CELLS:
        content = b",".join(cells) + b"\r\n2,,,,"

        compare(HEADER + content, rows_of(content), PROPERTIES, null=False)


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_any_end_of_a_line(line_end: bytes) -> None:
    content = b"1,a,1,b,d" + line_end + b"2,a,1,b,d\r\n"

    compare(HEADER + content, rows_of(content), PROPERTIES, null=False)
    compare(
        b"Id" + line_end + b"1" + line_end + b"2", rows_of(b"1" + line_end + b"2"), {}, null=False
    )


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize(
    "header", [b"x" * 70_000, b'"x\n""x"', b"x\r", b'"x', b'"x"x', b"x" * 65_520]
)
def test_any_header(header: bytes, bom: bool) -> None:  # noqa: FBT001
    content = (
        (b"\xef\xbb\xbf" if bom else b"") + b"Id,Text,Number,Many," + header + b"\r\n1,a,1,b,d\r\n"
    )

    compare(content, 1, PROPERTIES, null=False)


@pytest.fixture
def read_in_python(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of rows that Python's reader read."""
    ids: list[str] = []

    def noted(*arguments: Any) -> list[list[str]]:
        taken = take_rows(*arguments)
        ids.extend(row[0] for row in taken if row)
        return taken

    monkeypatch.setattr(csv_page, "take_rows", noted)
    return ids


@settings(max_examples=20, deadline=None)
@given(table=tables(max_rows=4), quote_all=st.booleans(), bom=st.booleans())
def test_zohos_form_of_csv_is_parsed_by_arrow(
    table: Table,
    quote_all: bool,  # noqa: FBT001
    bom: bool,  # noqa: FBT001
) -> None:
    lines = table.lines("Id", list(range(1 + len(table.types))), [])
    content = csv_bytes(lines, quote_all=quote_all, bom=bom)
    page = page_of(zipped(content), count=len(table.rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_page, "take_rows", _end_of_rows)
        list(decoder_of(table.properties, parquet.ParquetChunk).chunks(page))


def _end_of_rows(rows: Iterator[list[str]], _: object) -> list[list[str]]:
    assert next(rows, None) is None
    return []


@pytest.mark.parametrize(("irregular", "text"), [(b'x"y', 'x"y'), (b"\xff", None)])
def test_rows_from_an_irregular_block_on_are_read_in_python(
    monkeypatch: pytest.MonkeyPatch, read_in_python: list[str], irregular: bytes, text: str | None
) -> None:
    monkeypatch.setattr(csv_block, "BLOCK_BYTES", 1 << 14)
    count, odd = 3_000, 2_000
    rows = [[f"{ID}{number}", 'a, "b"\r\n\r\nc', str(number), "x;y"] for number in range(count)]
    rows[odd][1] = "IRREGULAR"
    content = csv_bytes([["Id", *PROPERTIES], *rows]).replace(b"IRREGULAR", irregular)
    decoder = decoder_of(PROPERTIES, parquet.ParquetChunk, invalid=InvalidValues(become_null=True))

    chunks = [*decoder.chunks(page_of(zipped(content), count=count))]
    records = in_parquet(chunks, PROPERTIES)

    assert [record["id"] for record in records] == [row[0] for row in rows]
    assert records[odd]["Text"] == text
    assert records[odd - 1]["Text"] == records[odd + 1]["Text"] == rows[0][1]
    first = read_in_python[0]
    assert read_in_python == [row[0] for row in rows if int(row[0]) >= int(first)]
    assert count // 2 < int(first.removeprefix(ID)) < odd
