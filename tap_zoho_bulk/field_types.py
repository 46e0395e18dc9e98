"""The one table of types: Zoho's `data_type` to JSON Schema, and JSON Schema to cell converter.

Invariant: a converter gives exactly the value that the cell's text stands for, or raises
ValueError; it never guesses.

Source: https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html
"""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Converter = Callable[[str], Any]

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
    data_type = field.get("data_type")
    if data_type in {"formula", "rollup_summary"}:
        returns = field.get(data_type)
        data_type = returns.get("return_type") if isinstance(returns, dict) else None
    if data_type == "multiselectpicklist" and multiselect_array:
        return {**_TEXT_ARRAY}
    return {**_SCHEMAS.get(str(data_type), _TEXT)}


def converter(schema: Mapping[str, Any], *, multiselect_separator: str | None) -> Converter | None:
    """Give the function that turns a cell, which is not empty, into a value of the schema.

    Args:
        schema: JSON Schema of one property.
        multiselect_separator: Where arrays are split.

    Returns:
        The function, which raises ValueError for a cell that it cannot read; or None where the
        text is the value.
    """
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    if "array" in types and multiselect_separator is not None:
        separator = multiselect_separator
        return lambda cell: cell.split(separator)
    if "string" in types:
        return {"date": _to_date, "date-time": to_utc}.get(schema.get("format", ""))
    return next((convert for name, convert in _CONVERTERS.items() if name in types), None)


_integer_text = re.compile(r"([+-]?[0-9]+)(?:\.0*)?").fullmatch
_number_text = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?").fullmatch
_date_text = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch


def _to_integer(cell: str) -> int:
    match = _integer_text(cell)
    if match is None:
        raise ValueError("not a whole number")
    return int(match[1])


def _to_number(cell: str) -> Decimal:
    """Keep every digit: a Decimal is written to JSON as it is."""
    if _number_text(cell) is None:
        raise ValueError("not a number")
    return Decimal(cell)


def _to_boolean(cell: str) -> bool:
    lower = cell.lower()
    if lower == "true":
        return True
    if lower == "false":
        return False
    raise ValueError("neither true nor false")


def _to_date(cell: str) -> str:
    if _date_text(cell) is None:
        raise ValueError("not a date (YYYY-MM-DD)")
    try:
        date.fromisoformat(cell)
    except ValueError:
        raise ValueError("no day of the calendar") from None  # Python's message shows the cell.
    return cell


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


_CONVERTERS: dict[str, Converter] = {
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
}
