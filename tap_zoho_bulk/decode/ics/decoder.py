"""Events to records: a page's VEVENTs as rows of the table of events.

Invariant: a value that cannot be parsed raises or becomes null, as `on_invalid_value` says; a value
of the key always raises.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.decode.ics.calendar import Calendar
from tap_zoho_bulk.decode.ics.columns import COLUMNS, KEY, MASTER
from tap_zoho_bulk.decode.ics.vevent import Event
from tap_zoho_bulk.exceptions import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_zoho_bulk.bulk_read.page import Page
    from tap_zoho_bulk.decode.invalid_values import InvalidValues

_CHUNK_BYTES = 1 << 17

logger = logging.getLogger("tap-zoho-bulk.events")


class IcsDecoder:
    """Decoder of the pages of a stream of events.

    Args:
        names: The properties to emit, the key first.
        invalid: The policy for values that cannot be parsed.
    """

    def __init__(self, names: Sequence[str], *, invalid: InvalidValues) -> None:
        self._names = names
        self._invalid = invalid

    def chunks(self, page: Page) -> Iterator[Chunk]:
        """Yield a page's events, many at a time, in the file's order.

        Args:
            page: As downloaded.

        Raises:
            InvalidValueError: When a value cannot be parsed, or an event has no key.
            PageDamagedError: When the page is incomplete.
        """
        calendar = Calendar(page)
        keys: set[int] = set()
        repeated = 0
        records: list[list[Any]] = []
        size = 0
        for lines in calendar.events():
            record = self._record(page, Event(lines, calendar.time_zones))
            key = hash(tuple(record[: len(KEY)]))
            repeated += key in keys
            keys.add(key)
            records.append(record)
            size += sum(map(len, lines))
            if size >= _CHUNK_BYTES:
                yield self._chunk(records)
                records, size = [], 0
        if records:
            yield self._chunk(records)
        if repeated:
            logger.warning(
                "%s: %d events have the UID and RECURRENCE-ID of another event. Targets that "
                "replace rows by key keep the last one.",
                page,
                repeated,
            )

    def _chunk(self, records: list[list[Any]]) -> Chunk:
        return Chunk(dict(zip(self._names, map(list, zip(*records, strict=True)), strict=True)))

    def _record(self, page: Page, event: Event) -> list[Any]:
        values = []
        for name in self._names:
            try:
                value = COLUMNS[name].read(event)
            except ValueError as error:
                self._reject(page, event, name, error)
                value = None
            if value is None and name in KEY:
                self._reject(page, event, name, ValueError("it is missing"))
            values.append(value)
        return values

    def _reject(self, page: Page, event: Event, name: str, error: ValueError) -> None:
        """Raise, or return if the value is to become null, as `on_invalid_value` says."""
        if name in KEY:
            raise InvalidValueError(
                f"{page}: an event has no valid `{name}` ({error}), so it cannot be identified. "
                "Contact Zoho support if it persists."
            ) from error
        # The value is a user's data, so the message does not show it.
        uid = str(event.text("UID"))[:200]
        which = f"event {uid!r} ({event.recurrence_id or MASTER})"
        self._invalid.reject(
            f"{page}: {which}: `{name}` cannot be parsed ({error})",
            error,
            remedy="Correct it in Zoho, deselect the property",
        )
