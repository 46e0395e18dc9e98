"""Hypothesis strategies for tables: columns of any types, and cells with their values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from local_zoho_crm.awkward import AWKWARD_TEXTAREAS
from tap_zoho_bulk.crm.field_types import json_schema

if TYPE_CHECKING:
    from decimal import Decimal

SEPARATOR = ";"
HUGE_BYTES = 200_000
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ID = "5725767000000400001"

Cell = tuple[str, Any]
"""The text of a cell, and its value."""

any_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=',"\r\n\0\ufeff;\u2028 x👾'),
    st.sampled_from(AWKWARD_TEXTAREAS),
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.lower() != "id" and not name.startswith("\ufeff")
)


def _as_is(text: str) -> Cell:
    return text, text or None


def _huge(text: str) -> Cell:
    return _as_is(text * (HUGE_BYTES // len(text.encode()) + 1))


def _instant(instant: datetime) -> Cell:
    utc = instant.astimezone(timezone.utc)
    return instant.isoformat(), f"{utc:%Y-%m-%dT%H:%M:%S}+00:00"


def _number(number: Decimal) -> Cell:
    return format(number, "f"), number


minutes = st.one_of(st.integers(-14, 14).map(lambda hours: 60 * hours), st.integers(-840, 840))
zones = minutes.map(lambda span: timezone(timedelta(minutes=span)))
CELLS: dict[str, st.SearchStrategy[Cell]] = {
    "text": any_text.map(_as_is),
    "textarea": st.one_of(any_text.map(_as_is), any_text.filter(bool).map(_huge)),
    "picklist": any_text.map(_as_is),
    "ownerlookup": st.integers(0, 10**19).map(lambda number: _as_is(str(number))),
    "bigint": st.integers(-(10**19), 10**19).map(lambda number: _as_is(str(number))),
    "integer": st.integers(-(10**9), 10**9).map(lambda number: (str(number), number)),
    "double": st.decimals(-(10**40), 10**40, allow_nan=False).map(_number),
    "currency": st.decimals(-(10**15), 10**15, places=9).map(_number),
    "boolean": st.booleans().flatmap(
        lambda value: st.sampled_from([str.lower, str.upper, str.title]).map(
            lambda case: (case(str(value)), value)
        )
    ),
    "date": st.dates().map(lambda day: (day.isoformat(), day.isoformat())),
    "datetime": st.builds(
        lambda seconds, zone: _instant((EPOCH + timedelta(seconds=seconds)).astimezone(zone)),
        st.integers(-(2 * 10**9), 25 * 10**10),
        zones,
    ),
    "multiselectpicklist": st.lists(
        any_text.map(lambda text: text.replace(SEPARATOR, "") or "x"), min_size=1
    ).map(lambda values: (SEPARATOR.join(values), values)),
}
_EMPTY: Cell = ("", None)


@dataclass
class Table:
    """A table: the types of its columns, and its rows."""

    types: dict[str, str]
    rows: list[list[Cell]]

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        """Return the JSON Schema of each column."""
        return {
            name: json_schema({"data_type": data_type}, multiselect_array=True)
            for name, data_type in self.types.items()
        }

    def records(self) -> list[dict[str, Any]]:
        """Return the records that the rows should be decoded to."""
        return [
            {
                "id": f"{ID}{number}",
                **{name: value for name, (_, value) in zip(self.types, row, strict=True)},
            }
            for number, row in enumerate(self.rows)
        ]

    def lines(self, id_column: str, order: list[int], surplus: list[str]) -> list[list[str]]:
        """Return the rows of the CSV, with its columns in this order, and more of them."""
        plain = [[id_column, *self.types, *surplus]] + [
            [f"{ID}{number}", *(text for text, _ in row), *("surplus" for _ in surplus)]
            for number, row in enumerate(self.rows)
        ]
        return [[line[index] for index in order] for line in plain]


@st.composite
def tables(draw: st.DrawFn, *, max_rows: int = 6) -> Table:
    """Return tables with any columns and rows."""
    types = draw(st.dictionaries(names, st.sampled_from(sorted(CELLS)), max_size=8))
    row = st.tuples(*(st.one_of(st.just(_EMPTY), CELLS[each]) for each in types.values()))
    return Table(types, [list(each) for each in draw(st.lists(row, max_size=max_rows))])
