"""The calendar: a page's ICS file, looked through whole before an event of it comes out.

Invariant: events come out of a page that is whole only: its ZIP's CRC holds, each component that
begins ends, and there are as many events as `result.count` says. No more than one component is in
memory at a time, and the time zones that the file defines, which may stand before or after the
events that need them.

Source: RFC 5545, 3.1 (content lines) and 3.4 to 3.6 (components).
"""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, NamedTuple

from tap_zoho_bulk.decode.ics.time_zones import TimeZones
from tap_zoho_bulk.exceptions import PageDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.bulk_read.page import Page

MAX_COMPONENT_BYTES = 4 << 20
"""Longest event. Zoho's longest descriptions have some 100 KB; what is longer is a bomb."""
MAX_COMPONENT_LINES = 10_000
"""Most lines of an event, an attendee each, say."""
MAX_EVENTS = 200_000
"""Most events of a page, overrides of a series' instances among them. Zoho documents 20,000."""

_READ_BYTES = 1 << 16
_MAX_FOLDS = 1 << 17  # A line of the greatest length, folded as RFC 5545 asks, has less than half.
_MAX_OTHER_BYTES = 64 << 20
"""Most bytes of components that are neither an event nor a time zone."""
_EVENT, _TIME_ZONE = b"VEVENT", b"VTIMEZONE"
_OVERRIDE = (b"RECURRENCE-ID:", b"RECURRENCE-ID;")


class Component(NamedTuple):
    """A component of a calendar.

    Args:
        kind: Such as `VEVENT`.
        lines: Its lines, unfolded, without line ends, from BEGIN to END.
    """

    kind: bytes
    lines: list[bytes]


class Calendar:
    """A page's events, of a file that is whole.

    Args:
        page: As downloaded.

    Raises:
        PageDamagedError: When it is not whole.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.time_zones = TimeZones()
        self._look_through()

    def events(self) -> Iterator[list[bytes]]:
        """Give the events, each as its unfolded lines, in the file's order."""
        for component in _components(self._page):
            if component.kind == _EVENT:
                yield component.lines

    def _look_through(self) -> None:
        """Raise when the file is not whole; keep the time zones that it defines."""
        page = self._page
        events = masters = other_bytes = 0
        for kind, lines in _components(page):
            if kind == _EVENT:
                events += 1
                masters += not any(line[:14].upper() in _OVERRIDE for line in lines)
            elif kind != _TIME_ZONE or not self.time_zones.add(lines):
                other_bytes += sum(map(len, lines))
            # What comes more than once may come without end, so it is not read on.
            if masters > page.result.count or events > MAX_EVENTS:
                raise PageDamagedError(
                    f"{page}: the calendar has more events than the {page.result.count} that the "
                    "job says."
                )
            if other_bytes > _MAX_OTHER_BYTES:
                raise PageDamagedError(f"{page}: the calendar is full of other things than events.")
        # Nobody documents whether the count is that of events, or of series without the moved
        # instances that come with them. So there may be more events, but only by such instances.
        if events < page.result.count:
            raise PageDamagedError(
                f"{page}: the calendar has {events} events, but the job says {page.result.count}."
            )


def _components(page: Page) -> Iterator[Component]:
    """Give the components that the file's calendars hold, those inside them included.

    Raises:
        PageDamagedError: When the file is no sequence of calendars, or a component has no end.
    """
    inside: list[bytes] = []
    lines: list[bytes] = []
    size = 0
    for line in filter(None, _content_lines(page)):
        start = line[:6].upper()
        if start == b"BEGIN:":
            inside.append(line[6:].strip().upper())
        if not inside or inside[0] != b"VCALENDAR":
            raise PageDamagedError(f"{page}: the file is no calendar: VCALENDAR does not begin it.")
        if len(inside) > 1:
            lines.append(line)
        size += len(line)
        if size > MAX_COMPONENT_BYTES or len(lines) > MAX_COMPONENT_LINES:
            raise PageDamagedError(
                f"{page}: a component of the calendar is longer than {MAX_COMPONENT_BYTES} bytes "
                f"or {MAX_COMPONENT_LINES} lines."
            )
        if start[:4] == b"END:":
            if line[4:].strip().upper() != inside.pop():
                raise PageDamagedError(f"{page}: a component of the calendar does not end.")
            if len(inside) == 1:
                yield Component(lines[0][6:].strip().upper(), lines)
                lines, size = [], 0
    if inside:
        raise PageDamagedError(f"{page}: the calendar does not end.")


def _content_lines(page: Page) -> Iterator[bytes]:
    """Give the file's lines, unfolded, as bytes: a fold may stand inside a character."""
    with page.archive.open("ics") as entry:
        file: IO[bytes] = io.BufferedReader(entry, _READ_BYTES)  # type: ignore[type-var]
        pieces: list[bytes] = []
        size = 0
        for line in _raw_lines(page, file):
            if pieces and line[:1] in {b"", b" ", b"\t"}:
                pieces.append(line[1:])
                size += len(line)
                if size > MAX_COMPONENT_BYTES or len(pieces) > _MAX_FOLDS:
                    raise _too_long(page)
                continue
            if pieces:
                yield b"".join(pieces)
            pieces, size = [line], len(line)
        if pieces:
            yield b"".join(pieces)


def _raw_lines(page: Page, file: IO[bytes]) -> Iterator[bytes]:
    """Give the file's lines as they are, without their ends."""
    first = True
    while line := file.readline(MAX_COMPONENT_BYTES + 1):
        if len(line) > MAX_COMPONENT_BYTES:
            raise _too_long(page)
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            first = False
        yield line


def _too_long(page: Page) -> PageDamagedError:
    return PageDamagedError(
        f"{page}: a line of the calendar is longer than {MAX_COMPONENT_BYTES} bytes."
    )
