"""The VEVENT: an event's lines as properties, and its dates and times as moments.

Invariant: nothing is guessed: what cannot be parsed raises ValueError, with a message that does not
show the value, because it is a user's data.

Source: RFC 5545, 3.1 (content lines), 3.3 (values) and 3.6.1 (VEVENT); RFC 6868 (parameter values).
"""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from icalendar import Parameters, vDuration
from icalendar.parser import split_on_unescaped_comma, unescape_backslash

from tap_zoho_bulk.decode.cells import converter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from tap_zoho_bulk.decode.ics.time_zones import TimeZones

_MAX_INTEGER = (1 << 31) - 1

_head = re.compile(r'([A-Za-z0-9-]+)((?:;(?:[^":]|"[^"]*")*)?):').match
_name = re.compile(rb"[A-Za-z0-9-]+").match
_date_text = re.compile(r"[0-9]{8}").fullmatch
_date_time_text = re.compile(r"([0-9]{8})T([0-9]{6})(Z?)").fullmatch
_to_integer = converter({"type": "integer"}, multiselect_separator=None)


class Property(NamedTuple):
    """A property of an event, parsed as far as all properties are alike.

    Args:
        params: Its parameters, by name; Parameters ignores letter case.
        value: Its value, still escaped.
    """

    params: Mapping[str, Any]
    value: str

    def param(self, name: str) -> str | None:
        """Return a parameter's text; None if there is none."""
        value = self.params.get(name)
        text = ",".join(value) if isinstance(value, list) else value
        return str(text) if text else None


class Moment(NamedTuple):
    """A date, or a local time of a zone.

    Args:
        local: The date, or the time without its zone.
        tzid: The zone's name in the event, else the calendar's; None for a date, and for a time
            without a zone.
        zones: The zones of the calendar.
    """

    local: date | datetime
    tzid: str | None
    zones: TimeZones

    @property
    def day(self) -> str | None:
        """The date; None for a time."""
        return None if isinstance(self.local, datetime) else self.local.isoformat()

    @property
    def clock(self) -> str | None:
        """The local time; None for a date."""
        return self.local.isoformat() if isinstance(self.local, datetime) else None

    @property
    def instant(self) -> datetime | None:
        """The instant in UTC; None for a date, and for a time without a zone.

        Raises:
            ValueError: When the zone is unknown.
        """
        if not isinstance(self.local, datetime) or self.tzid is None:
            return None
        if self.tzid == "UTC":
            return self.local.replace(tzinfo=timezone.utc)
        return self.zones.instant(self.local, self.tzid)

    @property
    def utc(self) -> str | None:
        """The instant as text, in UTC form; otherwise as `instant`."""
        return instant.isoformat() if (instant := self.instant) else None

    @property
    def text(self) -> str:
        """A text that identifies it: the instant, else the date, else the local time."""
        return self.utc or self.day or self.local.isoformat()

    def after(self, duration: str) -> Moment:
        """Return this moment plus a duration.

        Args:
            duration: In the form of RFC 5545. Days are calendar days, hours are exact.

        Raises:
            ValueError: When it cannot be computed.
        """
        days_text, t, time_text = duration.partition("T")
        sign = "-" if duration.startswith("-") else ""
        try:
            days, time = _duration(days_text), _duration(f"{sign}P{t}{time_text}")
            day_added = self._replace(local=self.local + days)
            if not time:
                return day_added
            instant = day_added.instant
            if instant is None or self.tzid in {None, "UTC"}:
                return day_added._replace(local=day_added.local + time)
            return day_added._replace(local=self.zones.local(instant + time, self.tzid or ""))
        except OverflowError as error:
            raise ValueError("a duration out of range") from error


class Event:
    """A VEVENT.

    Args:
        lines: Unfolded, from BEGIN to END.
        zones: The zones of its calendar.
    """

    def __init__(self, lines: Sequence[bytes], zones: TimeZones) -> None:
        self._lines = lines
        self._zones = zones
        self._properties: dict[bytes, list[bytes]] = {}
        self._alarms: list[Sequence[bytes]] = []
        inside: list[bytes] = []
        start = 0
        for number, line in enumerate(lines[1:-1], 1):
            if line[:6].upper() == b"BEGIN:":
                start = start if inside else number
                inside.append(line[6:].strip().upper())
            elif line[:4].upper() == b"END:":
                if inside == [b"VALARM"]:
                    self._alarms.append(lines[start : number + 1])
                inside.pop()
            elif not inside and (match := _name(line)):
                self._properties.setdefault(match[0].upper(), []).append(line)

    @property
    def alarms(self) -> list[Event]:
        """Its alarms, whose properties are parsed like those of an event."""
        return [Event(lines, self._zones) for lines in self._alarms]

    @property
    def raw(self) -> str:
        """Its text, unfolded, with the line ends of RFC 5545.

        Raises:
            ValueError: When it is not valid UTF-8.
        """
        return "".join(f"{_decoded(line)}\r\n" for line in self._lines)

    def all(self, name: str) -> list[Property]:
        """Return the properties of a name.

        Raises:
            ValueError: When one cannot be parsed.
        """
        return [_property(line) for line in self._properties.get(name.encode(), ())]

    def first(self, name: str) -> Property | None:
        """Return the first property of a name; otherwise as `all`."""
        lines = self._properties.get(name.encode())
        return _property(lines[0]) if lines else None

    def value(self, name: str) -> str | None:
        """Return a property's value, still escaped; None if it is empty."""
        found = self.first(name)
        return found.value or None if found else None

    def text(self, name: str) -> str | None:
        """Return a property's text; None if it is empty."""
        found = self.first(name)
        return unescape_backslash(found.value) or None if found else None

    def texts(self, name: str) -> list[str] | None:
        """Return all texts that the properties of a name list."""
        return [
            text
            for found in self.all(name)
            for text in split_on_unescaped_comma(found.value)
            if text
        ] or None

    def integer(self, name: str) -> int | None:
        """Return a property's integer."""
        value = self.value(name)
        number: int | None = _to_integer([value])[0] if value else None
        if number is not None and not -_MAX_INTEGER - 1 <= number <= _MAX_INTEGER:
            raise ValueError("an integer out of RFC 5545's range")
        return number

    def instant(self, name: str) -> str | None:
        """Return a property's instant, in UTC form."""
        found = self.moment(name)
        if found is None:
            return None
        if found.tzid is None:
            raise ValueError("not a date-time in UTC")
        return found.utc

    def moment(self, name: str) -> Moment | None:
        """Return a property's date or time."""
        found = self.first(name)
        return self._moment(found, found.value) if found and found.value else None

    def moments(self, name: str) -> list[str] | None:
        """Return all dates, times and periods that the properties of a name list."""
        return [
            self._listed(found, value)
            for found in self.all(name)
            for value in found.value.split(",")
            if value
        ] or None

    def _listed(self, found: Property, value: str) -> str:
        start, slash, end = value.partition("/")
        text = self._moment(found, start).text
        if slash:
            text += f"/{end if end[:1] in {'P', '+', '-'} else self._moment(found, end).text}"
        return text

    def _moment(self, found: Property, value: str) -> Moment:
        if _date_text(value):
            return Moment(_calendar_time(value), None, self._zones)
        match = _date_time_text(value)
        if match is None:
            raise ValueError("neither a date nor a date-time of RFC 5545")
        tzid = "UTC" if match[3] else found.param("TZID") or self._zones.own
        # Python does not support leap seconds; this is the second before.
        clock = match[2][:4] + match[2][4:].replace("60", "59")
        return Moment(_calendar_time(match[1], clock), tzid, self._zones)

    @cached_property
    def start(self) -> Moment | None:
        """The start; None if there is none."""
        return self.moment("DTSTART")

    @cached_property
    def end(self) -> Moment | None:
        """The exclusive end: DTEND if present, otherwise derived as RFC 5545 specifies."""
        end, duration = self.moment("DTEND"), self.value("DURATION")
        if end is not None or self.start is None:
            return end
        if duration is not None:
            return self.start.after(duration)
        return self.start.after("P1D") if self.start.day else self.start

    @property
    def recurrence_id(self) -> str | None:
        """Which instance of a series it is; None if it is not an instance."""
        moment = self.moment("RECURRENCE-ID")
        return moment.text if moment else None


def _calendar_time(day: str, clock: str | None = None) -> date | datetime:
    try:
        when = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        if clock is None:
            return when
        return datetime(  # noqa: DTZ001 - a local time
            *when.timetuple()[:3], int(clock[:2]), int(clock[2:4]), int(clock[4:])
        )
    except ValueError:
        raise ValueError("not a day or not a time of the calendar") from None


def _duration(text: str) -> timedelta:
    try:
        duration: timedelta = vDuration.from_ical(text)
    except ValueError:
        raise ValueError("not a duration of RFC 5545") from None
    return duration


def _property(line: bytes) -> Property:
    text = _decoded(line)
    match = _head(text)
    if match is None:
        raise ValueError("not a content line of RFC 5545")
    params = match[2]
    parsed = _cached_params(params) if len(params) <= _MAX_CACHED_CHARACTERS else _params(params)
    return Property(parsed, text[match.end() :])


def _params(text: str) -> Mapping[str, Any]:
    """Parse the parameters between a property's name and its value."""
    try:
        return Parameters.from_ical(text[1:]) if text else {}
    except ValueError:
        raise ValueError("parameters that are not in the form of RFC 5545") from None


_MAX_CACHED_CHARACTERS = 256
_cached_params = lru_cache(1024)(_params)  # Many lines have the same parameters.


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ValueError("bytes that are not UTF-8") from None
