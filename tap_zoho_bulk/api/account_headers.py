"""The account headers: what responses say beside their bodies, about credits and Zoho's clock.

Source: https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from tap_zoho_bulk.api.transport import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping

_CREDITS = "X-API-CREDITS-REMAINING"
_MAX_DIGITS = 15


class AccountHeaders:
    """What the latest responses said, of all threads."""

    def __init__(self) -> None:
        self.credits_left: int | None = None
        """The least API credits that were left of the last 24 hours' limit; None while Zoho does
        not send them, which it does as soon as half of them are used."""
        self.clock_ahead: float | None = None
        """Seconds by which Zoho's clock is ahead of the local one; None before a response. Its
        dates have whole seconds, and a response takes time, so it is exact to a second or two."""

    def note(self, headers: Mapping[str, str]) -> None:
        """Record what a response says.

        Args:
            headers: Of the response.
        """
        left = headers.get(_CREDITS, "").strip()
        if left.isascii() and left.isdigit() and len(left) <= _MAX_DIGITS:
            # Of responses that came at the same time, the least is the latest.
            self.credits_left = min(
                int(left), int(left) if self.credits_left is None else self.credits_left
            )
        date = http_date(headers.get("Date", ""))
        if date is not None:
            self.clock_ahead = (date - datetime.now(timezone.utc)).total_seconds()
