"""The calendar: a page's ICS file, checked completely before its first event is yielded.

Invariant: events are yielded only from a complete page: its ZIP's CRC is correct, each component
that begins ends, and there are as many events as `result.count` says. Only one component at a time
is in memory, besides the time zones that the file defines: their definitions may come before or
after the events that need them.

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
"""Of an event. Zoho's longest descriptions have about 100 KB; a longer event is a bomb."""
MAX_COMPONENT_LINES = 10_000
"""Of an event, for example one line per attendee."""
MAX_EVENTS = 200_000
"""Of a page, including overrides of a series' instances. Zoho documents 20,000."""

_READ_BYTES = 1 << 16
_MAX_FOLDS = 1 << 17  # A line of the maximum length, folded as RFC 5545 asks, has less than half.
_MAX_OTHER_BYTES = 64 << 20
"""Of components that are neither an event nor a time zone."""
_CALENDAR, _EVENT, _TIME_ZONE = b"VCALENDAR", b"VEVENT", b"VTIMEZONE"
_OVERRIDE = (b"RECURRENCE-ID:", b"RECURRENCE-ID;")


class Component(NamedTuple):
    """A component of a calendar, or one line of the calendar itself.

    Args:
        kind: Such as `VEVENT`; `VCALENDAR` for a line of the calendar, such as a property.
        lines: Its lines, unfolded, without line ends, from BEGIN to END.
    """

    kind: bytes
    lines: list[bytes]


class Calendar:
    """A page's events, of a complete file.

    Args:
        page: As downloaded.

    Raises:
        PageDamagedError: When the file is incomplete.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.time_zones = TimeZones()
        self._check()

    def events(self) -> Iterator[list[bytes]]:
        """Yield the events, each as its unfolded lines, in the file's order."""
        for component in _components(self._page):
            if component.kind == _EVENT:
                yield component.lines

    def _check(self) -> None:
        """Raise if the file is incomplete; keep the time zones that it defines and names."""
        page = self._page
        events = masters = other_bytes = 0
        for kind, lines in _components(page):
            if kind == _EVENT:
                events += 1
                masters += not any(line[:14].upper() in _OVERRIDE for line in lines)
            elif kind == _CALENDAR:
                self.time_zones.note(lines[0])
            elif kind != _TIME_ZONE or not self.time_zones.add(lines):
                other_bytes += sum(map(len, lines))
            # There may be events without end, so stop reading at the first surplus one.
            if masters > page.result.count or events > MAX_EVENTS:
                raise PageDamagedError(
                    f"{page}: the calendar has more events than the {page.result.count} that the "
                    "job reports."
                )
            if other_bytes > _MAX_OTHER_BYTES:
                raise PageDamagedError(
                    f"{page}: the calendar has too many components other than events."
                )
        # It is not documented whether the count includes moved instances of a series, which come
        # as events of their own. So there may be more events, but only by such instances.
        if events < page.result.count:
            raise PageDamagedError(
                f"{page}: the calendar has {events} events, but the job reports "
                f"{page.result.count}."
            )


def _components(page: Page) -> Iterator[Component]:
    """Yield the components of the file's calendars, each with the components inside it, and lines.

    Raises:
        PageDamagedError: When the file is not a sequence of calendars, or a component has no end.
    """
    inside: list[bytes] = []
    lines: list[bytes] = []
    size = 0
    for line in filter(None, _content_lines(page)):
        start = line[:6].upper()
        if start == b"BEGIN:":
            inside.append(line[6:].strip().upper())
        if not inside or inside[0] != _CALENDAR:
            raise PageDamagedError(
                f"{page}: the file is not a calendar: it does not begin with VCALENDAR."
            )
        if len(inside) > 1:
            lines.append(line)
        else:
            yield Component(_CALENDAR, [line])
        size += len(line)
        if size > MAX_COMPONENT_BYTES or len(lines) > MAX_COMPONENT_LINES:
            raise PageDamagedError(
                f"{page}: a component of the calendar is longer than {MAX_COMPONENT_BYTES} bytes "
                f"or {MAX_COMPONENT_LINES} lines."
            )
        if start[:4] == b"END:":
            if line[4:].strip().upper() != inside.pop():
                raise PageDamagedError(f"{page}: a component of the calendar has no end.")
            if len(inside) == 1:
                yield Component(lines[0][6:].strip().upper(), lines)
                lines, size = [], 0
    if inside:
        raise PageDamagedError(f"{page}: the calendar has no end.")


def _content_lines(page: Page) -> Iterator[bytes]:
    """Yield the file's lines, unfolded, as bytes: a fold may be inside a character."""
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
    """Yield the file's lines as they are, without line ends."""
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
