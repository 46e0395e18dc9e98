"""Meetings as calendar events: what Zoho stores besides a record's fields, and its ICS export.

A meeting's properties are chosen by its id, so equal records are equal meetings.
"""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local_zoho_crm.calendar_parts import (
    ZONES,
    Alarm,
    Attendee,
    When,
    Zone,
    escaped,
    folded,
    writable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Record

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
        organisation: The organisation of the meeting.
        record: The meeting's record.
    """

    def __init__(self, organisation: Organisation, record: Record) -> None:
        self.record = record
        series = record.get("$series") or {"id": record["id"]}
        self.uid = str(series["id"])
        # One source for what a series shares, one for what each meeting has of its own
        common = random.Random(f"{organisation.seed}:{series['id']}")
        own = random.Random(f"{organisation.seed}:{record['id']}:own")
        self.zone = common.choice([*ZONES, *ZONES, None])
        self.form: Any = "instant" if self.zone or common.random() < 0.5 else "floating"
        if self.form == "floating":
            self.zone = Zone(organisation.time_zone, organisation.zone, ())

        def when(instant: datetime, owner: Record) -> When:
            return When.of(instant, "day" if owner.get("All_day") else self.form, self.zone)

        self.start = when(record["Start_DateTime"], record)
        self.instance = None
        if "instance" in series:
            # RECURRENCE-ID is the start in the series, in the series' form.
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
        """Choose an end, a duration, or neither."""
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
        self.end = When.of(self.start.instant + span, self.form, self.zone)
        if own.random() < 0.3 and span == timedelta(hours=1):
            self.duration = "PT1H"
            self.end_is_written = False
            # The end has the start's zone, even if its local time is ambiguous.
            self.end = When(self.end.instant, self.start.form, self.start.zone)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the VEVENT, unfolded."""
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
        """Return the record that a correct tap emits."""
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


def calendar(meetings: list[Meeting], head: Iterable[str], *, zones_last: bool) -> Iterator[str]:
    """Yield the lines of a calendar of meetings, folded."""
    yield from ("BEGIN:VCALENDAR", *head)
    named = {meeting.zone for meeting in meetings} - {None}
    zones = [line for zone in ZONES if zone in named for line in zone.definition]
    events = (folded(line) for meeting in meetings for line in meeting.lines())
    yield from (*events, *zones) if zones_last else (*zones, *events)
    yield "END:VCALENDAR"


def _utc(value: Any) -> str:
    return f"{value:%Y%m%dT%H%M%SZ}"
