"""The one table of types: Zoho's `data_type` to JSON Schema, and JSON Schema to column converter.

Invariant: a converter gives exactly the values that the cells' texts stand for, or raises
ValueError; it never guesses. An empty cell is null.

A converter takes a column of many rows at once, and has two ways: a quick one for cells of the
form that Zoho writes, which ends when it meets any other, and one that looks at each by itself.

Source: https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Converter = Callable[[Sequence[str]], Sequence[Any]]

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

MAX_DIGITS = 1000
"""A number of more characters is none."""

_NOTE = "Zoho's type: "
_note_text = re.compile(rf"{_NOTE}(\w+)").match

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


def type_note(field: Mapping[str, Any]) -> str:
    """Tell a field's type in words, for the description of its property.

    A catalog keeps descriptions, and loses keywords that are not JSON Schema's.

    Args:
        field: The field as Zoho describes it.

    Returns:
        Such as `Zoho's type: currency.`; nothing where Zoho does not tell.
    """
    data_type = field.get("data_type")
    if not isinstance(data_type, str):
        return ""
    if data_type in NOT_EXPORTABLE:
        return f"{_NOTE}{data_type}, which bulk read cannot export."
    return f"{_NOTE}{data_type}."


def zoho_type(schema: Mapping[str, Any]) -> str | None:
    """Read back what `type_note` told.

    Args:
        schema: JSON Schema of one property, from a catalog.

    Returns:
        Zoho's `data_type`; None where the catalog does not tell.
    """
    match = _note_text(str(schema.get("description") or ""))
    return match[1] if match else None


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
    if _are_digits(cells, b"-"):
        try:
            return [int(cell) if cell else None for cell in cells]
        except ValueError:
            pass  # A sign stands where it cannot; below it is said without showing the cell.
    return [_to_integer(cell) if cell else None for cell in cells]


def _numbers(cells: Sequence[str]) -> list[Any]:
    if _are_digits(cells, b"-."):
        try:
            return [Decimal(cell) if cell else None for cell in cells]
        except ArithmeticError:
            pass  # A sign or a point stands where it cannot.
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
            # In few small tables, which a processor's cache holds.
            days, hour = _utc_hours[cell[10:13] + cell[19:]]
            minute, second = _sixtieths[cell[13:16]], _sixtieths[cell[16:19]]
            values.append(f"{days[cell[:10]]}{hour}{minute}{second}+00:00")
    except ValueError:
        return [to_utc(cell) if cell else None for cell in cells]
    return values


def _are_digits(cells: Sequence[str], others: bytes) -> bool:
    """Tell whether the cells are of ASCII digits and some other characters only.

    If so, Python reads them as numbers just where they are: there are no spaces, underscores,
    other alphabets' digits, or names such as "Infinity", which it would take, too.
    """
    text = "".join(cells)
    return (
        text.isascii()
        and not text.encode().translate(None, b"0123456789" + others)
        and max(map(len, cells), default=0) <= MAX_DIGITS
    )


class _Known(dict[str, Any]):
    """Values by text, each converted when it is first met.

    Args:
        convert: Gives a text's value, or raises ValueError.
    """

    def __init__(self, convert: Callable[[str], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, text: str) -> Any:
        value = self._convert(text)
        if len(self) >= _MAX_KNOWN:
            self.clear()
        self[text] = value
        return value


_MAX_KNOWN = 1 << 15  # of days, 90 years


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
    """Keep every digit: a Decimal is written to JSON as it is."""
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
        raise ValueError("no day of the calendar") from None  # Python's message shows the cell.
    return cell


def _to_day(shift: int) -> Callable[[str], str]:
    """Give what turns a date into the one so many days later."""

    def convert(cell: str) -> str:
        try:
            return (date.fromisoformat(_to_date(cell)) + timedelta(days=shift)).isoformat()
        except OverflowError as error:
            raise ValueError("a date-time out of range in UTC") from error

    return convert


def _to_utc_hour(cell: str) -> tuple[_Known, str]:
    """Turn `THH+HH:00` into the table of the days in UTC, and the hour there, as `THH`."""
    if _hour_text(cell) is None:
        raise ValueError("no usual hour")
    instant = to_utc(f"2000-01-02{cell[:3]}:00:00{cell[3:]}")
    return _days[int(instant[8:10]) - 2], instant[10:13]


def _to_sixtieth(cell: str) -> str:
    """Take `:MM` or `:SS` as it is."""
    if _sixtieth_text(cell) is None:
        raise ValueError("no usual minute or second")
    return cell


_boolean_values = _Known(lambda cell: _to_boolean(cell) if cell else None)
_date_values = _Known(lambda cell: _to_date(cell) if cell else None)
_days = {shift: _Known(_to_day(shift)) for shift in (-1, 0, 1)}
# Whole hours of offset, so that minutes and seconds are the same in UTC.
_utc_hours = _Known(_to_utc_hour)
_sixtieths = _Known(_to_sixtieth)
