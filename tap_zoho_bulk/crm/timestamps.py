"""Timestamps: ISO 8601 text to instants, and to the one UTC form in which instants compare as text.

The form is `YYYY-MM-DDTHH:MM:SS+00:00`, with a fraction only if the source has one.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any


def to_utc(cell: str) -> str:
    """Convert an ISO 8601 date-time to its UTC form.

    Args:
        cell: With an offset; without one the instant is unknown.

    Returns:
        `YYYY-MM-DDTHH:MM:SS+00:00`, with a fraction only if the cell has one.

    Raises:
        ValueError: When the cell is not a date-time with an offset.
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


def utc_or_none(value: Any) -> str | None:
    """Convert a date-time from outside to its UTC form.

    Args:
        value: Anything.

    Returns:
        As `to_utc` does; None if it is not a date-time.
    """
    try:
        return to_utc(value) if isinstance(value, str) else None
    except ValueError:
        return None


def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 date or date-time; without an offset it is UTC.

    Args:
        text: Such as `2026-01-31T00:00:00Z`.

    Raises:
        ValueError: When the text is neither.
    """
    instant = datetime.fromisoformat(text)  # The SDK teaches Python 3.10 the forms of later ones.
    if instant.tzinfo is None:
        return instant.replace(tzinfo=timezone.utc)
    try:
        return instant.astimezone(timezone.utc)
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range in UTC") from error
