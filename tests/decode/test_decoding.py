"""Any table written as Zoho's CSV is decoded to equal values; any invalid cell is an error."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_bulk.crm.field_types import json_schema
from tap_zoho_bulk.decode.cells import converter
from tap_zoho_bulk.exceptions import InvalidValueError
from tests.support.pages import csv_bytes, decode, page_of, zipped
from tests.support.tables import CELLS, ID, SEPARATOR, names, tables

if TYPE_CHECKING:
    from tests.support.tables import Table


@settings(max_examples=300, deadline=None)
@given(table=tables(), data=st.data())
def test_any_table_comes_back_equal(table: Table, data: st.DataObject) -> None:
    surplus = sorted(data.draw(st.sets(names, max_size=3)) - table.types.keys())
    width = 1 + len(table.types) + len(surplus)
    lines = table.lines(
        id_column=data.draw(st.sampled_from(["Id", "id"])),
        order=data.draw(st.permutations(range(width))),
        surplus=surplus,
    )
    content = csv_bytes(
        lines,
        bom=data.draw(st.booleans()),
        line_end=data.draw(st.sampled_from(["\n", "\r\n"])),
        quote_all=data.draw(st.booleans()),
    )
    page = page_of(zipped(content), count=len(table.rows))

    decoded = decode(page, table.properties, multiselect_separator=SEPARATOR)

    assert decoded == table.records()
    # 1.10 equals 1.1, and 1 equals True: types and digits must also be the same.
    assert repr(decoded) == repr(
        [{name: each[name] for name in ["id", *table.types]} for each in table.records()]
    )


column_kinds = st.sampled_from(["integer", "double", "boolean", "date", "datetime"])
NUMBERS = ["1.0", "+5", "-0", "007", "1e3", ".5", "1,2", ","]
INSTANTS = [
    "2024-01-01T00:00:00Z",
    "2024-01-01T23:59:59+05:30",
    "2024-01-01T00:00:00.500-08:00",
    "2024-01-01T24:00:00+00:00",
    "2024-02-30T00:00:00+00:00",
    "2024-01-01T00:00:00+99:00",
]
unusual = st.sampled_from(["", "x", "TRUE", "False", "true,", "2024-02-29", *NUMBERS, *INSTANTS])


@settings(max_examples=300, deadline=None)
@given(data=st.data(), data_type=column_kinds)
def test_a_column_is_read_as_its_cells_are(data: st.DataObject, data_type: str) -> None:
    """Columns of usual cells are converted by a faster path, which must have the same result."""
    cells = data.draw(
        st.lists(st.one_of(CELLS[data_type].map(lambda cell: cell[0]), unusual), min_size=1)
    )
    convert = converter(
        json_schema({"data_type": data_type}, multiselect_array=False), multiselect_separator=None
    )
    try:
        alone = [value for cell in cells for value in convert([cell])]
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - its words are for the message only
            convert(cells)
        return

    assert repr(convert(cells)) == repr(alone)


def test_what_stands_far_into_a_page_is_read_as_at_its_start() -> None:
    """Rows are read many at a time: this page has some dozens of such portions."""
    fillers = "x" * 500
    rows = [["Id", "Number", "At", "Text"]]
    expected = []
    for number in range(6_000):
        odd = number % 1_000 == 999
        rows.append(
            [
                str(number),
                f"+{number}" if odd else str(number),
                "2024-11-03T01:30:00.250-08:00" if odd else "2024-11-03T01:30:00-07:00",
                f"{fillers}\r\n{number}",
            ]
        )
        expected.append(
            {
                "id": str(number),
                "Number": number,
                "At": "2024-11-03T09:30:00.250000+00:00" if odd else "2024-11-03T08:30:00+00:00",
                "Text": f"{fillers}\r\n{number}",
            }
        )
    properties: dict[str, dict[str, Any]] = {
        "Number": {"type": ["integer", "null"]},
        "At": {"type": ["string", "null"], "format": "date-time"},
        "Text": {"type": ["string", "null"]},
    }

    assert decode(page_of(zipped(csv_bytes(rows)), count=6_000), properties) == expected


@pytest.mark.parametrize("number", [1, 2_999, 5_998])
def test_one_bad_cell_among_many_is_the_only_null(number: int) -> None:
    rows = [["Id", "Number", "Text"], *([str(n), str(n), "x" * 500] for n in range(6_000))]
    rows[number + 1][1] = "twelve"
    properties: dict[str, dict[str, Any]] = {
        "Number": {"type": ["integer", "null"]},
        "Text": {"type": ["string", "null"]},
    }
    page = page_of(zipped(csv_bytes(rows)), count=6_000)

    decoded = decode(page, properties, null_if_invalid=True)

    assert [n for n, record in enumerate(decoded) if record["Number"] is None] == [number]
    assert [record["Number"] or 0 for record in decoded] == [
        0 if n == number else n for n in range(6_000)
    ]


def test_a_header_alone_is_no_record() -> None:
    content = csv_bytes([["Last_Name", "Id"]])

    assert decode(page_of(zipped(content), count=0), {"Last_Name": {"type": "string"}}) == []


def test_a_cell_without_separator_setting_stays_as_it_came() -> None:
    schema = json_schema({"data_type": "multiselectpicklist"}, multiselect_array=False)
    content = csv_bytes([["Id", "Colours"], [ID, "Red;Off, White"]])

    decoded = decode(page_of(zipped(content), count=1), {"Colours": schema})

    assert decoded == [{"id": ID, "Colours": "Red;Off, White"}]


_INVALID = [
    ("integer", "12.5"),
    ("integer", "1 000"),
    ("integer", "1,000"),
    ("integer", "0x10"),
    ("integer", "1_000"),
    ("integer", "١٢"),
    ("integer", " 1"),
    ("double", "NaN"),
    ("double", "Infinity"),
    ("double", "1,5"),
    ("double", "$5"),
    ("currency", "12 EUR"),
    ("percent", "5%"),
    ("boolean", "yes"),
    ("boolean", "1"),
    ("date", "2024-02-30"),
    ("date", "2024-13-01"),
    ("date", "01/02/2024"),
    ("date", "20240102"),
    ("date", "2024-01-02T00:00:00+00:00"),
    ("datetime", "2024-01-02"),
    ("datetime", "2024-01-02T03:04:05"),
    ("datetime", "2024-01-02T25:00:00+00:00"),
    ("datetime", "0001-01-01T00:00:00+14:00"),
    ("datetime", "yesterday"),
]


@pytest.mark.parametrize(("data_type", "cell"), _INVALID)
def test_a_cell_that_does_not_parse_is_an_error_that_does_not_show_it(
    data_type: str, cell: str
) -> None:
    schema = json_schema({"data_type": data_type}, multiselect_array=False)
    page = page_of(zipped(csv_bytes([["Id", "Odd_Field"], [ID, cell]])), count=1)

    with pytest.raises(InvalidValueError, match="Odd_Field") as raised:
        decode(page, {"Odd_Field": schema})

    assert ID in str(raised.value)
    assert "on_invalid_value" in str(raised.value)
    assert len(cell) < 5 or cell not in str(raised.value)


@pytest.mark.parametrize(("data_type", "cell"), _INVALID)
def test_a_cell_that_does_not_parse_becomes_null_by_setting(data_type: str, cell: str) -> None:
    schema = json_schema({"data_type": data_type}, multiselect_array=False)
    rows = [["Id", "Odd_Field", "Other"], [ID, cell, "stays"]]
    page = page_of(zipped(csv_bytes(rows)), count=1)

    decoded = decode(page, {"Odd_Field": schema, "Other": {"type": "string"}}, null_if_invalid=True)

    assert decoded == [{"id": ID, "Odd_Field": None, "Other": "stays"}]


@pytest.mark.parametrize(
    ("data_type", "cell", "value"),
    [
        ("integer", "12.0", 12),
        ("integer", "-0", 0),
        ("integer", "+7", 7),
        ("double", "1E+3", Decimal("1E+3")),
        ("double", ".5", Decimal("0.5")),
        ("double", "1234567890123456789.123456789", Decimal("1234567890123456789.123456789")),
        ("boolean", "TRUE", True),
        ("boolean", "False", False),
        ("date", "9999-12-31", "9999-12-31"),
        ("datetime", "2024-11-03T01:30:00-07:00", "2024-11-03T08:30:00+00:00"),
        ("datetime", "2024-11-03T01:30:00-08:00", "2024-11-03T09:30:00+00:00"),
        ("datetime", "2024-11-03T01:30:00Z", "2024-11-03T01:30:00+00:00"),
        ("bigint", "9223372036854775807", "9223372036854775807"),
    ],
)
def test_every_form_that_zoho_may_write_is_read(data_type: str, cell: str, value: Any) -> None:
    schema = json_schema({"data_type": data_type}, multiselect_array=False)
    page = page_of(zipped(csv_bytes([["Id", "Field"], [ID, cell]])), count=1)

    (record,) = decode(page, {"Field": schema})

    assert repr(record["Field"]) == repr(value)


@pytest.mark.parametrize("bad", [b"\xff", b"caf\xe9", b"\xf0\x9f\x91", b"\xed\xa0\x80"])
def test_bytes_that_are_not_utf8_are_an_error_or_null(bad: bytes) -> None:
    properties = {"Name": {"type": "string"}, "Other": {"type": "string"}}
    content = b"Id,Name,Other\n1,good,x\n2," + bad + b",y\n3,good,z\n"

    with pytest.raises(InvalidValueError, match="Name"):
        decode(page_of(zipped(content), count=3), properties)
    decoded = decode(page_of(zipped(content), count=3), properties, null_if_invalid=True)
    assert [record["Name"] for record in decoded] == ["good", None, "good"]
    assert [record["Other"] for record in decoded] == ["x", "y", "z"]


def test_a_row_without_its_id_is_an_error_whatever_the_setting() -> None:
    for content in (b"Id,Name\n,Smith\n", b"Id,Name\n\xff,Smith\n"):
        page = page_of(zipped(content), count=1)
        with pytest.raises(InvalidValueError, match="id"):
            decode(page, {"Name": {"type": "string"}}, null_if_invalid=True)


def test_dates_of_every_year_are_read() -> None:
    schema = json_schema({"data_type": "date"}, multiselect_array=False)
    days = [date(1, 1, 1), date(1899, 12, 31), date(2024, 2, 29), date(9999, 12, 31)]
    rows = [["Id", "Day"], *([str(day.toordinal()), day.isoformat()] for day in days)]

    decoded = decode(page_of(zipped(csv_bytes(rows)), count=len(days)), {"Day": schema})

    assert [record["Day"] for record in decoded] == [day.isoformat() for day in days]
