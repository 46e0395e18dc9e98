"""Numbers with all their digits, if the user wants other columns for them than DOUBLE."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any

import target_duckdb
from target_duckdb import db_sync

from batch_loader.files import LoadError

COLUMN_TYPES = {"double": "double", "decimal": "decimal(38,18)", "text": "varchar"}


class _Number(float):
    """A number that the target writes to its CSV files with every digit."""

    def __init__(self, text: str) -> None:
        self._text = format(Decimal(text).normalize(), "f")

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


def apply(number_type: str) -> None:
    """Make the target create columns of a type for numbers, and load their digits.

    Args:
        number_type: A key of `COLUMN_TYPES`.

    Raises:
        LoadError: When it is not.
    """
    if number_type not in COLUMN_TYPES:
        raise LoadError(f"`number_type` must be one of {', '.join(COLUMN_TYPES)}.")
    if number_type == "double":
        return
    column_type = db_sync.column_type

    def with_numbers(schema_property: dict[str, Any]) -> str:
        found: str = column_type(schema_property)
        return COLUMN_TYPES[number_type] if found == "double" else found

    db_sync.column_type = with_numbers
    target_duckdb.json = SimpleNamespace(
        loads=partial(json.loads, parse_float=_Number),
        load=json.load,
        dumps=json.dumps,
        decoder=json.decoder,
    )
