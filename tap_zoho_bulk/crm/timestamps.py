"""Timestamps: ISO 8601 text to datetimes, and to one UTC form that sorts chronologically as text.

The form is `YYYY-MM-DDTHH:MM:SS+00:00`, with a fraction only if the source has one.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def to_utc(cell: str) -> str:
    """Convert an ISO 8601 date-time to its UTC form.

    Args:
        cell: The date-time, with an offset.

    Returns:
        `YYYY-MM-DDTHH:MM:SS+00:00`, with a fraction only if the cell has one.

    Raises:
        ValueError: If the cell is not a date-time with an offset.
    """
    try:
        instant = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("not an ISO 8601 date-time") from None  # Python's message quotes the cell.
    if instant.tzinfo is None:
        raise ValueError("a date-time without an offset")
    try:
        return instant.astimezone(timezone.utc).isoformat()
    except OverflowError as error:
        raise ValueError("a date-time out of range in UTC") from error


def utc_or_none(value: Any) -> str | None:
    """Convert an untrusted value to its UTC form if it is a date-time.

    Args:
        value: Anything.

    Returns:
        As `to_utc`; None if the value is not a date-time.
    """
    try:
        return to_utc(value) if isinstance(value, str) else None
    except ValueError:
        return None


def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 date or date-time. Without an offset, it is UTC.

    Args:
        text: Such as `2026-01-31T00:00:00Z`.

    Raises:
        ValueError: If the text is neither.
    """
    instant = datetime.fromisoformat(text)  # The SDK backports the newer formats to Python 3.10.
    if instant.tzinfo is None:
        return instant.replace(tzinfo=timezone.utc)
    try:
        return instant.astimezone(timezone.utc)
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range in UTC") from error
