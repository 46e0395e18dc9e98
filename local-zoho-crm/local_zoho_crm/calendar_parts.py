"""The parts of calendar events as RFC 5545 writes them: zones, times, people, alarms, text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta


@dataclass(frozen=True)
class Zone:
    """A time zone with its name and definition in a calendar.

    Attributes:
        tzid: The zone's name in the calendar.
        rules: The zone's offsets from UTC.
        definition: Lines of the zone's VTIMEZONE.
    """

    tzid: str
    rules: ZoneInfo
    definition: tuple[str, ...]


def _zone(tzid: str, rules: str, *changes: tuple[str, str, str, str, str]) -> Zone:
    lines = ["BEGIN:VTIMEZONE", f"TZID:{tzid}"]
    for kind, start, before, after, rule in changes:
        lines += [
            f"BEGIN:{kind}",
            f"DTSTART:{start}",
            f"TZOFFSETFROM:{before}",
            f"TZOFFSETTO:{after}",
            *([f"RRULE:FREQ=YEARLY;{rule}"] if rule else []),
            f"END:{kind}",
        ]
    return Zone(tzid, ZoneInfo(rules), (*lines, "END:VTIMEZONE"))


_AUTUMN, _SPRING = "BYDAY=1SU;BYMONTH=11", "BYMONTH=3;BYDAY=2SU"
_OCTOBER, _MARCH = "BYDAY=-1SU;BYMONTH=10", "BYDAY=-1SU;BYMONTH=3"
ZONES = (
    _zone(
        "America/Los_Angeles",
        "America/Los_Angeles",
        ("STANDARD", "20071104T020000", "-0700", "-0800", _AUTUMN),
        ("DAYLIGHT", "20070311T020000", "-0800", "-0700", _SPRING),
    ),
    # A name that only the VTIMEZONE in the file explains
    _zone(
        "Zoho/Head Office",
        "America/New_York",
        ("STANDARD", "20071104T020000", "-0400", "-0500", _AUTUMN),
        ("DAYLIGHT", "20070311T020000", "-0500", "-0400", _SPRING),
    ),
    # As Outlook writes it
    _zone(
        "W. Europe Standard Time",
        "Europe/Berlin",
        ("STANDARD", "16010101T030000", "+0200", "+0100", _OCTOBER),
        ("DAYLIGHT", "16010101T020000", "+0100", "+0200", _MARCH),
    ),
    _zone("Asia/Kolkata", "Asia/Kolkata", ("STANDARD", "19451015T000000", "+0630", "+0530", "")),
)


@dataclass(frozen=True)
class When:
    """A date or a time.

    Attributes:
        instant: The time in UTC. A date is stored as if it were in UTC.
        form: How the value is written. A floating time names no zone: the calendar has it.
        zone: The zone in whose local time it is written; None for UTC.
    """

    instant: datetime
    form: Literal["instant", "floating", "day"] = "instant"
    zone: Zone | None = None

    @classmethod
    def of(cls, instant: datetime, form: Any, zone: Zone | None) -> When:
        """Create one. An ambiguous local time means the earlier instant; the later uses UTC."""
        instant = instant.astimezone(timezone.utc)
        if form == "day":
            return cls(instant, form)
        if zone and instant.astimezone(zone.rules).fold:
            return cls(instant)
        return cls(instant, form, zone)

    @property
    def clock(self) -> datetime:
        """Return the local time in the zone."""
        zone = self.zone.rules if self.zone else timezone.utc
        return self.instant.astimezone(zone).replace(tzinfo=None)

    def line(self, name: str) -> str:
        """Return the value as a property of this name."""
        if self.form == "day":
            return f"{name};VALUE=DATE:{self.instant:%Y%m%d}"
        zone = f";TZID={self.zone.tzid}" if self.zone and self.form == "instant" else ""
        utc = "" if self.zone else "Z"
        return f"{name}{zone}:{self.clock:%Y%m%dT%H%M%S}{utc}"

    def later(self, span: timedelta) -> When:
        """Return the value plus a duration, added to the local time of the zone."""
        if self.zone is None:
            return When(self.instant + span, self.form)
        local = (self.clock + span).replace(tzinfo=self.zone.rules)
        return When.of(local, self.form, self.zone)

    @property
    def truth(self) -> dict[str, Any]:
        """Return the properties of the tap's record, by their suffix."""
        utc = f"{self.instant:%Y-%m-%dT%H:%M:%S}+00:00"
        timed = self.form != "day"
        return {
            "": utc if timed else None,
            "_local": f"{self.clock:%Y-%m-%dT%H:%M:%S}" if timed else None,
            "_time_zone": (self.zone.tzid if self.zone else "UTC") if timed else None,
            "_date": None if timed else f"{self.instant:%Y-%m-%d}",
        }

    @property
    def key(self) -> str:
        """Return the value as one text."""
        truth = self.truth
        return str(truth[""] or truth["_date"] or truth["_local"])


@dataclass(frozen=True)
class Attendee:
    """A participant. Attributes that are None are left out."""

    email: str
    name: str | None
    role: str | None
    status: str | None
    rsvp: bool | None
    kind: str | None

    def line(self, prop: str = "ATTENDEE") -> str:
        """Return the value as a property of this name."""
        rsvp = None if self.rsvp is None else str(self.rsvp).upper()
        given = {
            "CN": self.name,
            "ROLE": self.role,
            "PARTSTAT": self.status,
            "RSVP": rsvp,
            "CUTYPE": self.kind,
        }
        params = "".join(f";{key}={_param(text)}" for key, text in given.items() if text)
        return f"{prop}{params}:mailto:{self.email}"

    @property
    def truth(self) -> dict[str, Any]:
        """Return what the tap's record contains."""
        return {
            "email": self.email,
            "name": self.name,
            "role": self.role,
            "status": self.status,
            "rsvp": self.rsvp,
            "type": self.kind,
        }


@dataclass(frozen=True)
class Alarm:
    """A reminder, either at the instant `at`, or by the duration `before`."""

    action: str
    before: str | None
    at: When | None
    related: str | None
    description: str | None
    repeat: int | None

    def lines(self) -> Iterator[str]:
        """Yield the lines of the VALARM."""
        yield "BEGIN:VALARM"
        yield f"ACTION:{self.action}"
        related = f";RELATED={self.related}" if self.related else ""
        if self.at:
            yield f"TRIGGER;VALUE=DATE-TIME:{self.at.clock:%Y%m%dT%H%M%SZ}"
        else:
            yield f"TRIGGER{related}:{self.before}"
        if self.description is not None:
            yield f"DESCRIPTION:{escaped(self.description)}"
        if self.repeat is not None:
            yield f"REPEAT:{self.repeat}"
            yield "DURATION:PT5M"
        if self.action == "EMAIL":
            yield "SUMMARY:Soon"
            yield "ATTENDEE:mailto:all@example.com"
        yield "END:VALARM"

    @property
    def truth(self) -> dict[str, Any]:
        """Return what the tap's record contains."""
        return {
            "action": self.action,
            "trigger": self.at.key if self.at else self.before,
            "related": self.related,
            "description": self.description,
            "summary": "Soon" if self.action == "EMAIL" else None,
            "duration": None if self.repeat is None else "PT5M",
            "repeat": self.repeat,
        }


def writable(text: str | None) -> str | None:
    """Return the text without what no content line can hold: control characters, CRLF."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", (text or "").replace("\r\n", "\n"))
    return text or None


def escaped(text: str) -> str:
    """Return the text as a TEXT value of RFC 5545."""
    for plain, written in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(plain, written)
    return text


def folded(line: str) -> str:
    """Fold a line at 75 bytes, never inside a character."""
    pieces, piece, size = [], "", 0
    for character in line:
        width = len(character.encode())
        if size + width > 75:
            pieces.append(piece)
            piece, size = " ", 1
        piece += character
        size += width
    return "\r\n".join([*pieces, piece])


def _param(text: str) -> str:
    """Return a parameter's value, escaped by RFC 6868 and quoted if RFC 5545 requires it."""
    for plain, written in (("^", "^^"), ('"', "^'"), ("\n", "^n")):
        text = text.replace(plain, written)
    return f'"{text}"' if set(text) & set(",;:") else text
