"""Values that do not parse as their field's type: an error, or null (`on_invalid_value`).

Invariant: an invalid value is never emitted, and no message shows it, because it is a user's data.
"""

from __future__ import annotations

import logging

from tap_zoho_bulk.exceptions import InvalidValueError

_MAX_WARNINGS = 10

logger = logging.getLogger("tap-zoho-bulk.invalid-values")


class InvalidValues:
    """The policy for one stream's invalid values, and how many there were.

    Args:
        become_null: Whether they become null, with a warning for the first ten, or are errors.
    """

    def __init__(self, *, become_null: bool) -> None:
        self.count = 0
        self._become_null = become_null

    def reject(self, what: str, error: ValueError, *, remedy: str) -> None:
        """Raise, or return if the value is to become null.

        Args:
            what: Which value it is, and what is wrong with it.
            error: Why it does not parse.
            remedy: What the user can do besides setting `on_invalid_value`.

        Raises:
            InvalidValueError: When invalid values are errors.
        """
        if not self._become_null:
            raise InvalidValueError(
                f"{what}. {remedy}, or set `on_invalid_value` to `null`."
            ) from error
        self.count += 1
        if self.count <= _MAX_WARNINGS:
            logger.warning("%s; emitting null.", what)
