"""The one table of types: Zoho's `data_type` to JSON Schema, and JSON Schema to column converter.

Invariant: a converter gives exactly the values that the cells' texts stand for, or raises
ValueError; it never guesses. An empty cell is null.

A converter takes a column of many rows at once. Where the whole column has the usual form, which
one search tells, its cells are converted without another look; else each is looked at by itself.

Source: https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html
"""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Converter = Callable[[Sequence[str]], list[Any]]

# These bulk read cannot export, whatever the module.
NOT_EXPORTABLE = frozenset(
    {
        "consent_lookup",
        "fileupload",
        "imageupload",
        "multi_module_lookup_list",
        "multiselectlookup",
        "multiuserlookup",
        "profileimage",
        "subform",
    }
)

_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_INTEGER: dict[str, Any] = {"type": ["integer", "null"]}
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_BOOLEAN: dict[str, Any] = {"type": ["boolean", "null"]}
_DATE: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
_DATETIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_TEXT_ARRAY: dict[str, Any] = {"type": ["array", "null"], "items": {"type": ["string"]}}

# What is not here is text: ids, lookups, picklists, bigint (19 digits do not fit a JSON number),
# and whatever Zoho adds one day.
_SCHEMAS = {
    "integer": _INTEGER,
    "double": _NUMBER,
    "currency": _NUMBER,
    "percent": _NUMBER,
    "decimal": _NUMBER,
    "boolean": _BOOLEAN,
    "date": _DATE,
    "datetime": _DATETIME,
}


def json_schema(field: Mapping[str, Any], *, multiselect_array: bool) -> dict[str, Any]:
    """Give the JSON Schema of a field's values.

    Args:
        field: The field as Zoho describes it; only `data_type` is needed. A formula or rollup
            takes the type that it returns.
        multiselect_array: Whether multi-select picklists become arrays.
    """
    data_type = str(field.get("data_type"))
    if data_type in {"formula", "rollup_summary"}:
        returns = field.get(data_type)
        data_type = str(returns.get("return_type")) if isinstance(returns, dict) else ""
    if data_type == "multiselectpicklist" and multiselect_array:
        return {**_TEXT_ARRAY}
    return {**_SCHEMAS.get(data_type, _TEXT)}


def converter(schema: Mapping[str, Any], *, multiselect_separator: str | None) -> Converter:
    """Give the function that turns a column's cells into values of the schema.

    Args:
        schema: JSON Schema of one property.
        multiselect_separator: Where arrays are split.

    Returns:
        The function, which raises ValueError when there is a cell that it cannot read.
    """
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    if "array" in types and multiselect_separator is not None:
        separator = multiselect_separator
        return lambda cells: [cell.split(separator) if cell else None for cell in cells]
    if "string" in types:
        return {"date": _dates, "date-time": _datetimes}.get(schema.get("format", ""), _texts)
    known = {"integer": _integers, "number": _numbers, "boolean": _booleans}
    return next((convert for name, convert in known.items() if name in types), _texts)


def to_utc(cell: str) -> str:
    """Turn an ISO 8601 date-time into its one UTC form, so that instants compare as text.

    Args:
        cell: With an offset; without one the instant is unknown.

    Returns:
        `YYYY-MM-DDTHH:MM:SS+00:00`, with a fraction only where the cell has one.

    Raises:
        ValueError: When the cell is no date-time with an offset.
    """
    try:
        instant = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("not an ISO 8601 date-time") from None  # Python's message shows the cell.
    if instant.tzinfo is None:
        raise ValueError("a date-time without an offset")
    try:
        return instant.astimezone(timezone.utc).isoformat()
    except OverflowError as error:
        raise ValueError("a date-time out of range in UTC") from error


# Columns


def _texts(cells: Sequence[str]) -> list[Any]:
    return [cell or None for cell in cells]


def _integers(cells: Sequence[str]) -> list[Any]:
    if _is_usual(_usual_integers, cells):
        return [int(cell) if cell else None for cell in cells]
    return [_to_integer(cell) if cell else None for cell in cells]


def _numbers(cells: Sequence[str]) -> list[Any]:
    if _is_usual(_usual_numbers, cells):
        return [Decimal(cell) if cell else None for cell in cells]
    return [_to_number(cell) if cell else None for cell in cells]


def _booleans(cells: Sequence[str]) -> list[Any]:
    try:
        return [_BOOLEANS[cell] for cell in cells]
    except KeyError:
        return [_to_boolean(cell) if cell else None for cell in cells]


def _dates(cells: Sequence[str]) -> list[Any]:
    return [_to_date(cell) if cell else None for cell in cells]


def _datetimes(cells: Sequence[str]) -> list[Any]:
    if _is_usual(_usual_datetimes, cells):
        return [
            f"{_utc_hours[cell[:13] + cell[19:]]}{cell[13:19]}+00:00" if cell else None
            for cell in cells
        ]
    return [to_utc(cell) if cell else None for cell in cells]


def _usual(cell: str) -> Callable[[str], re.Match[str] | None]:
    """Compile what tells whether all cells of a column, joined by commas, have a form."""
    return re.compile(f"(?:{cell})?(?:,(?:{cell})?)*").fullmatch


_usual_integers = _usual(r"-?[0-9]{1,18}")
_usual_numbers = _usual(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
# Whole hours of offset, so that minutes and seconds are the same in UTC.
_usual_datetimes = _usual(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-5][0-9]:[0-5][0-9][+-][0-9]{2}:00"
)
_BOOLEANS = {"": None, "false": False, "true": True}


def _is_usual(usual: Callable[[str], re.Match[str] | None], cells: Sequence[str]) -> bool:
    joined = ",".join(cells)
    # A comma more than the joining ones stands inside a cell.
    return joined.count(",") == len(cells) - 1 and usual(joined) is not None


class _UtcHours(dict[str, str]):
    """Hours in UTC, as `YYYY-MM-DDTHH`, by hour and offset, as `YYYY-MM-DDTHH+HH:00`."""

    def __missing__(self, key: str) -> str:
        if len(self) >= _MAX_HOURS:
            self.clear()
        hour = self[key] = to_utc(f"{key[:13]}:00:00{key[13:]}")[:13]
        return hour


_MAX_HOURS = 1 << 15  # nearly four years of them, in some 5 MB
_utc_hours = _UtcHours()


# Single cells

_integer_text = re.compile(r"([+-]?[0-9]+)(?:\.0*)?").fullmatch
_number_text = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?").fullmatch
_date_text = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch


def _to_integer(cell: str) -> int:
    match = _integer_text(cell)
    if match is None or len(cell) > _MAX_DIGITS:
        raise ValueError("not a whole number")
    return int(match[1])


def _to_number(cell: str) -> Decimal:
    """Keep every digit: a Decimal is written to JSON as it is."""
    if _number_text(cell) is None or len(cell) > _MAX_DIGITS:
        raise ValueError("not a number")
    return Decimal(cell)


def _to_boolean(cell: str) -> bool:
    value = _BOOLEANS.get(cell.lower())
    if value is None:
        raise ValueError("neither true nor false")
    return value


@lru_cache(maxsize=1 << 15)
def _to_date(cell: str) -> str:
    if _date_text(cell) is None:
        raise ValueError("not a date (YYYY-MM-DD)")
    try:
        date.fromisoformat(cell)
    except ValueError:
        raise ValueError("no day of the calendar") from None  # Python's message shows the cell.
    return cell


_MAX_DIGITS = 1000
