"""Meetings as calendar events: what Zoho keeps beside a record's fields, and as it is exported.

Each meeting has what RFC 5545 lets it have, chosen by its id: equal records are equal meetings.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Record


@dataclass(frozen=True)
class Zone:
    """A time zone as a calendar names and defines it.

    Attributes:
        tzid: Its name.
        rules: What its clocks show.
        definition: Lines of its VTIMEZONE.
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
    # The same with a name of its own, which only the file explains.
    _zone(
        "Zoho/Head Office",
        "America/New_York",
        ("STANDARD", "20071104T020000", "-0400", "-0500", _AUTUMN),
        ("DAYLIGHT", "20070311T020000", "-0500", "-0400", _SPRING),
    ),
    # As Outlook writes it.
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
        instant: In UTC; of a floating time and of a date, the one at which UTC's clocks show it.
        form: How it is written.
        zone: Of an instant that is written in a zone's local time.
    """

    instant: datetime
    form: Literal["instant", "floating", "day"] = "instant"
    zone: Zone | None = None

    @classmethod
    def of(cls, instant: datetime, form: Any, zone: Zone | None) -> When:
        """Make one; a local time that comes twice means the first, so the second is in UTC."""
        instant = instant.astimezone(timezone.utc)
        if form == "instant" and zone and instant.astimezone(zone.rules).fold:
            zone = None
        return cls(instant, form, zone if form == "instant" else None)

    @property
    def clock(self) -> datetime:
        """What its zone's clocks show."""
        zone = self.zone.rules if self.zone else timezone.utc
        return self.instant.astimezone(zone).replace(tzinfo=None)

    def line(self, name: str) -> str:
        """The property of this name."""
        if self.form == "day":
            return f"{name};VALUE=DATE:{self.instant:%Y%m%d}"
        zone = f";TZID={self.zone.tzid}" if self.zone else ""
        utc = "Z" if self.form == "instant" and not self.zone else ""
        return f"{name}{zone}:{self.clock:%Y%m%dT%H%M%S}{utc}"

    def later(self, span: timedelta) -> When:
        """What so much later is: in its zone's clocks' time."""
        if self.zone is None:
            return When(self.instant + span, self.form)
        local = (self.clock + span).replace(tzinfo=self.zone.rules)
        return When.of(local, self.form, self.zone)

    @property
    def truth(self) -> dict[str, Any]:
        """What a record has of it, by the end of the property's name."""
        utc = f"{self.instant:%Y-%m-%dT%H:%M:%S}+00:00"
        timed = self.form != "day"
        return {
            "": utc if self.form == "instant" else None,
            "_local": f"{self.clock:%Y-%m-%dT%H:%M:%S}" if timed else None,
            "_time_zone": (self.zone.tzid if self.zone else "UTC")
            if self.form == "instant"
            else None,
            "_date": None if timed else f"{self.instant:%Y-%m-%d}",
        }

    @property
    def key(self) -> str:
        """It in one text."""
        truth = self.truth
        return str(truth[""] or truth["_date"] or truth["_local"])


@dataclass(frozen=True)
class Attendee:
    """Who takes part; what is None is left out."""

    email: str
    name: str | None
    role: str | None
    status: str | None
    rsvp: bool | None
    kind: str | None

    def line(self, prop: str = "ATTENDEE") -> str:
        """The property of this name."""
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
        """What a record has of it."""
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
    """A reminder; `at` is an instant, or else `before` a duration."""

    action: str
    before: str | None
    at: When | None
    related: str | None
    description: str | None
    repeat: int | None

    def lines(self) -> Iterator[str]:
        """Its VALARM."""
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
        """What a record has of it."""
        return {
            "action": self.action,
            "trigger": self.at.key if self.at else self.before,
            "related": self.related,
            "description": self.description,
            "summary": "Soon" if self.action == "EMAIL" else None,
            "duration": None if self.repeat is None else "PT5M",
            "repeat": self.repeat,
        }


_NAMES = ("Ann Lee", "O'Neil, Jr.", 'Jo "Jet" Ma; 2^3', "佐藤 花子", "Żółć: gęślą", None)
_PERSONS = tuple(
    Attendee(
        f"person{number}@example.com",
        _NAMES[number % len(_NAMES)],
        ("REQ-PARTICIPANT", "OPT-PARTICIPANT", "CHAIR", None)[number % 4],
        ("ACCEPTED", "DECLINED", "NEEDS-ACTION", "TENTATIVE", None)[number % 5],
        (True, False, None)[number % 3],
        ("INDIVIDUAL", "ROOM", None)[number % 3],
    )
    for number in range(60)
)
_PLACES = (None, ("37.386013", "-122.082932"), ("-33.8", "151.2"), ("0", "0.5"))
_RULES = ("FREQ=WEEKLY;COUNT=5", "FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20301231T235959Z", "FREQ=DAILY")
_CATEGORIES = ("Sales", "Größe, Maß", "a;b", "back\\slash")


class Meeting:
    """A meeting of the module Events.

    Args:
        organisation: It belongs to this one.
        record: Its record.
    """

    def __init__(self, organisation: Organisation, record: Record) -> None:
        self.record = record
        series = record.get("$series") or {"id": record["id"]}
        self.uid = f"{series['id']}@zoho.example"
        # What the meetings of a series have in common, and what each has for itself.
        common = random.Random(f"{organisation.seed}:{series['id']}")
        own = random.Random(f"{organisation.seed}:{record['id']}:own")
        self.zone = common.choice([*ZONES, *ZONES, None])
        form: Any = "instant" if self.zone or common.random() < 0.5 else "floating"

        def when(instant: datetime, owner: Record) -> When:
            return When.of(instant, "day" if owner.get("All_day") else form, self.zone)

        self.start = when(record["Start_DateTime"], record)
        self.instance = None
        if "instance" in series:
            # It names the start that the series has for it, in the series' form.
            master = organisation.module("Events").records.get(series["id"], record)
            self.instance = when(series["instance"], master)
        self.rule = own.choice(_RULES) if "$rule" in record else None
        weeks = [self.start.later(timedelta(weeks=number)) for number in (1, 2, 3, 4)]
        self.exdates = own.sample(weeks[:2], own.randint(0, 2)) if self.rule else []
        self.rdates = own.sample(weeks[2:], own.randint(0, 1)) if self.rule else []
        self._choose_end(own)
        self.status = own.choice(["CONFIRMED", "TENTATIVE", "CANCELLED", None])
        self.transparency = own.choice(["OPAQUE", "TRANSPARENT", None])
        self.kind = own.choice(["PUBLIC", "PRIVATE", None])
        self.priority = own.choice([0, 1, 9, None])
        self.sequence = own.choice([0, 3, None])
        self.organizer = own.choice([None, *_PERSONS])
        self.attendees = own.sample(_PERSONS, own.choice([0, 0, 1, 3, 20]))
        self.categories = own.sample(_CATEGORIES, own.randint(0, 3))
        self.place = own.choice(_PLACES)
        self.url = own.choice([None, "https://meet.example/a?b=c,d;e&f=%2C"])
        texts = {"summary": "Event_Title", "location": "Venue", "description": "Description"}
        self.texts = {name: writable(record.get(field)) for name, field in texts.items()}
        self.alarms = [
            Alarm("DISPLAY", "-PT15M", None, own.choice(["END", None]), "Go, now; \\o/\nRun", None),
            Alarm("EMAIL", None, When(self.start.instant - timedelta(days=1)), None, "Día", None),
            Alarm("AUDIO", "PT0S", None, None, None, 2),
        ][: own.randint(0, 3)]

    def _choose_end(self, own: random.Random) -> None:
        """Give it an end, a duration, or neither."""
        day = self.start.form == "day"
        span = self.record["End_DateTime"] - self.record["Start_DateTime"]
        self.duration: str | None = None
        self.end_is_written = True
        if day:
            days = own.randint(1, 3)
            self.end = self.start.later(timedelta(days=days))
            written = own.choice(["end", "duration", "nothing" if days == 1 else "end"])
            self.duration = f"P{days}D" if written == "duration" else None
            self.end_is_written = written == "end"
            return
        self.end = When.of(self.start.instant + span, self.start.form, self.zone)
        if own.random() < 0.3 and span == timedelta(hours=1):
            self.duration = "PT1H"
            self.end_is_written = False
            # The zone is the start's, even where its clocks show the end's time twice.
            self.end = When(self.end.instant, self.end.form, self.start.zone)

    def lines(self) -> Iterator[str]:
        """Its VEVENT, unfolded."""
        record = self.record
        yield "BEGIN:VEVENT"
        yield f"UID:{self.uid}"
        if self.instance:
            yield self.instance.line("RECURRENCE-ID")
        yield f"DTSTAMP:{_utc(record['Modified_Time'])}"
        yield f"CREATED:{_utc(record['Created_Time'])}"
        yield f"LAST-MODIFIED:{_utc(record['Modified_Time'])}"
        yield self.start.line("DTSTART")
        if self.end_is_written:
            yield self.end.line("DTEND")
        if self.duration:
            yield f"DURATION:{self.duration}"
        if self.rule:
            yield f"RRULE:{self.rule}"
        yield from (when.line("EXDATE") for when in self.exdates)
        yield from (when.line("RDATE") for when in self.rdates)
        for name, text in self.texts.items():
            if text:
                yield f"{name.upper()}:{escaped(text)}"
        if self.organizer:
            yield Attendee(self.organizer.email, self.organizer.name, None, None, None, None).line(
                "ORGANIZER"
            )
        yield from (attendee.line() for attendee in self.attendees)
        if self.categories:
            yield "CATEGORIES:" + ",".join(map(escaped, self.categories))
        plain = {
            "STATUS": self.status,
            "TRANSP": self.transparency,
            "CLASS": self.kind,
            "PRIORITY": self.priority,
            "SEQUENCE": self.sequence,
            "URL": self.url,
            "GEO": ";".join(self.place) if self.place else None,
            "X-ZOHO-ID": record["id"],
        }
        yield from (f"{name}:{value}" for name, value in plain.items() if value is not None)
        for alarm in self.alarms:
            yield from alarm.lines()
        yield "END:VEVENT"

    @property
    def truth(self) -> dict[str, Any]:
        """It as a Singer tap must emit it."""
        record = self.record
        latitude, longitude = self.place or (None, None)
        stamps = {"created": "Created_Time", "last_modified": "Modified_Time"}
        return {
            "uid": self.uid,
            "recurrence_id": self.instance.key if self.instance else "master",
            **self.texts,
            "status": self.status,
            "transparency": self.transparency,
            "class": self.kind,
            "priority": self.priority,
            "sequence": self.sequence,
            **{name: When(record[field]).key for name, field in stamps.items()},
            "dtstamp": When(record["Modified_Time"]).key,
            **{f"start{ending}": value for ending, value in self.start.truth.items()},
            **{f"end{ending}": value for ending, value in self.end.truth.items()},
            "all_day": self.start.form == "day",
            "duration": self.duration,
            "rrule": self.rule,
            "rdate": [when.key for when in self.rdates] or None,
            "exdate": [when.key for when in self.exdates] or None,
            "organizer_email": self.organizer.email if self.organizer else None,
            "organizer_name": self.organizer.name if self.organizer else None,
            "attendees": [attendee.truth for attendee in self.attendees] or None,
            "alarms": [alarm.truth for alarm in self.alarms] or None,
            "categories": self.categories or None,
            "url": self.url,
            "latitude": Decimal(latitude) if latitude else None,
            "longitude": Decimal(longitude) if longitude else None,
            "vevent": "".join(f"{line}\r\n" for line in self.lines()),
        }


def calendar(meetings: list[Meeting], *, zones_last: bool) -> Iterator[str]:
    """The lines of a calendar of meetings, folded."""
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Zoho CRM//Meetings//EN")
    named = {meeting.zone for meeting in meetings} - {None}
    zones = [line for zone in ZONES if zone in named for line in zone.definition]
    events = (folded(line) for meeting in meetings for line in meeting.lines())
    yield from (*events, *zones) if zones_last else (*zones, *events)
    yield "END:VCALENDAR"


def writable(text: str | None) -> str | None:
    """What of a text a content line can hold: no control characters, one kind of line ends."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", (text or "").replace("\r\n", "\n"))
    return text or None


def escaped(text: str) -> str:
    """A TEXT value, as RFC 5545 writes it."""
    for plain, written in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(plain, written)
    return text


def folded(line: str) -> str:
    """Break a line after 75 bytes at most, never inside a character."""
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
    """A parameter's value, as RFC 6868 writes it, in quotes where RFC 5545 asks for them."""
    for plain, written in (("^", "^^"), ('"', "^'"), ("\n", "^n")):
        text = text.replace(plain, written)
    return f'"{text}"' if set(text) & set(",;:") else text


def _utc(value: Any) -> str:
    return f"{value:%Y%m%dT%H%M%SZ}"
