"""Numbers with all their digits, if the user wants other columns for them than DOUBLE."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from target_duckdb import db_sync

from batch_loader.files import LoadError

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMN_TYPES = {"double": "double", "decimal": "decimal(38,18)", "text": "varchar"}


class _Number(float):
    """A number that the target writes to its CSV files with every digit."""

    def __init__(self, text: str) -> None:
        self._text = format(Decimal(text).normalize(), "f")

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


def apply(number_type: str) -> Callable[[str], float]:
    """Make the target create columns of a type for numbers.

    Args:
        number_type: A key of `COLUMN_TYPES`.

    Returns:
        What parses a number, so that the target loads its digits.

    Raises:
        LoadError: When it is not.
    """
    if number_type not in COLUMN_TYPES:
        raise LoadError(f"`number_type` must be one of {', '.join(COLUMN_TYPES)}.")
    if number_type == "double":
        return float
    column_type = db_sync.column_type

    def with_numbers(schema_property: dict[str, Any]) -> str:
        found: str = column_type(schema_property)
        return COLUMN_TYPES[number_type] if found == "double" else found

    db_sync.column_type = with_numbers
    return _Number
