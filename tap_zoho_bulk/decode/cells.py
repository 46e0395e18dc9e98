"""Cells to values: one converter for each column, compiled from its JSON Schema.

Invariant: a converter returns exactly the values that the cells represent, or raises ValueError; it
never guesses. An empty cell is null.

A converter works on a column of many rows at once. A fast path handles cells in the form that Zoho
writes, and stops at any other form; a slow path checks each cell.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.crm.timestamps import to_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Converter = Callable[[Sequence[str]], Sequence[Any]]

MAX_DIGITS = 1000
"""A longer text is not parsed as a number."""


def converter(schema: Mapping[str, Any], *, multiselect_separator: str | None) -> Converter:
    """Return the function that turns a column's cells into values of the schema.

    Args:
        schema: JSON Schema of one property.
        multiselect_separator: What separates the items of an array.

    Returns:
        The function, which raises ValueError if it cannot parse a cell.
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


# Columns


def _texts(cells: Sequence[str]) -> list[Any]:
    return [cell or None for cell in cells]


def _integers(cells: Sequence[str]) -> list[Any]:
    if _are_digits(cells, b"-"):
        try:
            return [int(cell) if cell else None for cell in cells]
        except ValueError:
            pass  # A sign is misplaced. The error below does not show the cell.
    return [_to_integer(cell) if cell else None for cell in cells]


def _numbers(cells: Sequence[str]) -> list[Any]:
    if _are_digits(cells, b"-."):
        try:
            return [Decimal(cell) if cell else None for cell in cells]
        except ArithmeticError:
            pass  # A sign or a point is misplaced.
    return [_to_number(cell) if cell else None for cell in cells]


def _booleans(cells: Sequence[str]) -> list[Any]:
    return list(map(_boolean_values.__getitem__, cells))


def _dates(cells: Sequence[str]) -> list[Any]:
    return list(map(_date_values.__getitem__, cells))


def _datetimes(cells: Sequence[str]) -> list[Any]:
    values: list[Any] = []
    try:
        for cell in cells:
            if not cell:
                values.append(None)
                continue
            # Few small tables, which fit into a processor's cache.
            days, hour = _utc_hours[cell[10:13] + cell[19:]]
            minute, second = _sixtieths[cell[13:16]], _sixtieths[cell[16:19]]
            values.append(f"{days[cell[:10]]}{hour}{minute}{second}+00:00")
    except ValueError:
        return [to_utc(cell) if cell else None for cell in cells]
    return values


def _are_digits(cells: Sequence[str], others: bytes) -> bool:
    """Return whether the cells consist of ASCII digits and some other characters only.

    If so, Python parses them as numbers only if they are numbers: they have no spaces, underscores,
    digits of other alphabets, or names such as "Infinity", which Python also accepts.
    """
    text = "".join(cells)
    return (
        text.isascii()
        and not text.encode().translate(None, b"0123456789" + others)
        and max(map(len, cells), default=0) <= MAX_DIGITS
    )


class _Cache(dict[str, Any]):
    """Values by text, each converted once.

    Args:
        convert: Returns a text's value, or raises ValueError.
    """

    def __init__(self, convert: Callable[[str], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, text: str) -> Any:
        value = self._convert(text)
        if len(self) >= _MAX_CACHED:
            self.clear()
        self[text] = value
        return value


_MAX_CACHED = 1 << 15  # days, which are 90 years


# Single cells

_integer_text = re.compile(r"([+-]?[0-9]+)(?:\.0*)?").fullmatch
_number_text = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?").fullmatch
_date_text = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_hour_text = re.compile(r"T[0-9]{2}[+-][0-9]{2}:00").fullmatch
_sixtieth_text = re.compile(r":[0-5][0-9]").fullmatch


def _to_integer(cell: str) -> int:
    match = _integer_text(cell)
    if match is None or len(cell) > MAX_DIGITS:
        raise ValueError("not a whole number")
    return int(match[1])


def _to_number(cell: str) -> Decimal:
    """Return a Decimal, which is written to JSON with every digit."""
    if _number_text(cell) is None or len(cell) > MAX_DIGITS:
        raise ValueError("not a number")
    return Decimal(cell)


def _to_boolean(cell: str) -> bool:
    value = {"false": False, "true": True}.get(cell.lower())
    if value is None:
        raise ValueError("neither true nor false")
    return value


def _to_date(cell: str) -> str:
    if _date_text(cell) is None:
        raise ValueError("not a date (YYYY-MM-DD)")
    try:
        date.fromisoformat(cell)
    except ValueError:
        raise ValueError("not a day of the calendar") from None  # Python's message shows the cell.
    return cell


def _to_day(shift: int) -> Callable[[str], str]:
    """Return a function that returns the date so many days after a date."""

    def convert(cell: str) -> str:
        try:
            return (date.fromisoformat(_to_date(cell)) + timedelta(days=shift)).isoformat()
        except OverflowError as error:
            raise ValueError("a date-time out of range in UTC") from error

    return convert


def _to_utc_hour(cell: str) -> tuple[_Cache, str]:
    """Return for `THH+HH:00` the table of days in UTC, and the hour in UTC as `THH`."""
    if _hour_text(cell) is None:
        raise ValueError("no usual hour")
    instant = to_utc(f"2000-01-02{cell[:3]}:00:00{cell[3:]}")
    return _days[int(instant[8:10]) - 2], instant[10:13]


def _to_sixtieth(cell: str) -> str:
    """Return `:MM` or `:SS` as it is, if it is valid."""
    if _sixtieth_text(cell) is None:
        raise ValueError("no usual minute or second")
    return cell


_boolean_values = _Cache(lambda cell: _to_boolean(cell) if cell else None)
_date_values = _Cache(lambda cell: _to_date(cell) if cell else None)
_days = {shift: _Cache(_to_day(shift)) for shift in (-1, 0, 1)}
# Whole hours of offset, so that minutes and seconds are the same in UTC.
_utc_hours = _Cache(_to_utc_hour)
_sixtieths = _Cache(_to_sixtieth)
