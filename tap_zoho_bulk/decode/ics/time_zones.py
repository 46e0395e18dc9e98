"""Time zones of a calendar: what a TZID means, and so which instant a local time is.

Invariant: nothing is guessed. A TZID is a zone of the IANA database, a definition in the file, or a
Windows name; otherwise it is unknown. A time without a zone is in the zone that the calendar names
as its own, X-WR-TIMEZONE; Zoho writes the user's there.

Source: RFC 5545, 3.2.19 (TZID), 3.3.5 (times that do not occur or occur twice), 3.6.5 (VTIMEZONE).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import icalendar
from icalendar.parser import unescape_backslash
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

if TYPE_CHECKING:
    from datetime import tzinfo

MAX_DEFINITION_BYTES = 1 << 15
"""Of a definition that is used. Europe/London's, from 1847 on, has about 10 KB."""
_MAX_DEFINITIONS = 256

_DAY = timedelta(days=1)
_own_zone = re.compile(rb"X-WR-TIMEZONE(?:;[^:]*)?:(.*)", re.IGNORECASE).fullmatch
_tzid = re.compile(rb"TZID(?:;[^:]*)?:(.*)", re.IGNORECASE).fullmatch
# One or two changes a year, as all zones have: other rules would take too long to expand.
_rule = re.compile(rb"RRULE[:;]", re.IGNORECASE).match
_usual_rule = re.compile(
    rb"RRULE:(?=(?:.*;)?FREQ=YEARLY(?:;|$))(?=.*BYMONTH=\d+(?:;|$))"
    rb"(?=.*BY(?:DAY=[+-]?\d|MONTHDAY=))"
    rb"(?:;?(?:FREQ=YEARLY|BYMONTH=\d+|BYDAY=[+-]?\d?[A-Z]{2}|BYMONTHDAY=[-\d,]{1,24}"
    rb"|UNTIL=\w+|WKST=\w+))+",
    re.IGNORECASE,
).fullmatch


class TimeZones:
    """The time zones of a calendar."""

    def __init__(self) -> None:
        self._definitions: dict[str, list[bytes]] = {}
        self._known: dict[str, tzinfo | None] = {}
        self.own: str | None = None
        """Name of the zone of times that have none; None if the calendar names none."""

    def note(self, line: bytes) -> None:
        """Keep the name of the calendar's own zone, if a property is that; the first one counts.

        Args:
            line: A property of the calendar, unfolded.
        """
        match = _own_zone(line)
        if match and self.own is None:
            self.own = _name(match[1]) or None

    def add(self, lines: list[bytes]) -> bool:
        """Keep a definition if it is used.

        Args:
            lines: A VTIMEZONE, unfolded.

        Returns:
            Whether it is used: it is the first of its name, and its rules are usual ones.
        """
        if (
            len(self._definitions) >= _MAX_DEFINITIONS
            or sum(map(len, lines)) > MAX_DEFINITION_BYTES
            or not all(_usual_rule(line) for line in lines if _rule(line))
        ):
            return False
        name = next((match[1] for line in lines if (match := _tzid(line))), b"")
        tzid = _name(name)
        if not tzid or tzid in self._definitions:
            return False
        self._definitions[tzid] = lines
        return True

    def instant(self, local: datetime, tzid: str) -> datetime:
        """Return the instant of a local time.

        Args:
            local: Without a zone.
            tzid: The zone's name in the calendar.

        Returns:
            The instant in UTC. Of a time that occurs twice, it is the first; a skipped time is
            interpreted with the offset before the change.

        Raises:
            ValueError: When the zone is unknown.
        """
        if tzid not in self._known:
            if len(self._known) >= _MAX_DEFINITIONS:
                self._known.clear()
            self._known[tzid] = self._find(tzid)
        zone = self._known[tzid]
        if zone is None:
            raise ValueError("a time zone that neither the file nor the IANA database defines")
        try:
            if isinstance(zone, ZoneInfo):
                return local.replace(tzinfo=zone).astimezone(timezone.utc)
            return _instant(local, zone)
        except OverflowError as error:
            raise ValueError("a date-time out of range in UTC") from error

    def local(self, instant: datetime, tzid: str) -> datetime:
        """Return the local time of an instant.

        Args:
            instant: With an offset.
            tzid: The zone's name; `instant` returned a value for it before.
        """
        try:
            return instant.astimezone(self._known[tzid]).replace(tzinfo=None)
        except OverflowError as error:
            raise ValueError("a date-time out of range in its zone") from error

    def _find(self, tzid: str) -> tzinfo | None:
        # The database first: it covers all years, and many definitions only have the present rule.
        return _iana(tzid) or self._defined(tzid) or _iana(WINDOWS_TO_OLSON.get(tzid, ""))

    def _defined(self, tzid: str) -> tzinfo | None:
        lines = self._definitions.get(tzid)
        if lines is None:
            return None
        try:
            definition: Any = icalendar.Timezone.from_ical(b"\r\n".join(lines).decode() + "\r\n")
            zone: tzinfo = definition.to_tz(lookup_tzid=False)
            zone.utcoffset(datetime(2000, 1, 1))  # noqa: DTZ001 - a local time
        except Exception:  # noqa: BLE001 - the zone is then unknown
            return None
        finally:
            icalendar.use_zoneinfo()  # Otherwise it caches the zones that it parsed, by name.
        return zone


def _name(value: bytes) -> str:
    return str(unescape_backslash(value.decode("utf-8", "replace"))).strip()


def _instant(local: datetime, zone: tzinfo) -> datetime:
    """Return the instant of a time in a zone of the file; dateutil errs for skipped times."""
    offset = local.replace(tzinfo=zone).utcoffset()
    before = (local - _DAY).replace(tzinfo=zone).utcoffset()
    if offset is None or before is None:
        raise ValueError("a time zone without offsets")
    instant = (local - offset).replace(tzinfo=timezone.utc)
    if offset > before and instant.astimezone(zone).replace(tzinfo=None) != local:
        return instant + (offset - before)  # The clocks skip it.
    return instant


def _iana(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (OSError, ValueError, LookupError):  # not the name of a file, or that of a folder
        return None
