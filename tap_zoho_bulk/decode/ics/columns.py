"""The table of calendar events: which part of a VEVENT is in which column.

Invariant: a value is exactly what the event says, or null if it says nothing; what cannot be parsed
raises ValueError. The column `vevent` has the complete event.

Source: RFC 5545, 3.6.1 (VEVENT), 3.6.6 (VALARM) and 3.8 (properties).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tap_zoho_bulk.decode.cells import converter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_zoho_bulk.decode.ics.vevent import Event, Moment, Property

MASTER = "master"
"""The `recurrence_id` of a single event or of a complete series. It is part of the key, and some
targets treat an empty text as null."""

_to_number = converter({"type": "number"}, multiselect_separator=None)


def _rule(event: Event) -> str | None:
    return "\n".join(each.value for each in event.all("RRULE") if each.value) or None


def _coordinate(place: int) -> Callable[[Event], Any]:
    def read(event: Event) -> Any:
        value = event.value("GEO")
        if value is None:
            return None
        latitude, _, longitude = value.partition(";")
        if not latitude or not longitude or ";" in longitude:
            raise ValueError("not a latitude and longitude")
        return _to_number([(latitude, longitude)[place]])[0]

    return read


def _email(person: Property) -> str | None:
    given = person.param("EMAIL")  # RFC 7986: if the address is not a mailto:
    if given is not None:
        return given
    scheme, colon, address = person.value.partition(":")
    if not colon:
        return scheme if "@" in scheme else None
    return address or None if scheme.lower() == "mailto" else None


def _organizer(read: Callable[[Property], str | None]) -> Callable[[Event], str | None]:
    def of(event: Event) -> str | None:
        person = event.first("ORGANIZER")
        return read(person) if person else None

    return of


def _attendees(event: Event) -> list[dict[str, Any]] | None:
    return [
        {
            "email": _email(person),
            "name": person.param("CN"),
            "role": person.param("ROLE"),
            "status": person.param("PARTSTAT"),
            "rsvp": _boolean(person.param("RSVP")),
            "type": person.param("CUTYPE"),
        }
        for person in event.all("ATTENDEE")
    ] or None


def _boolean(text: str | None) -> bool | None:
    known = {None: None, "TRUE": True, "FALSE": False}
    upper = text.upper() if text else None
    if upper not in known:
        raise ValueError("neither TRUE nor FALSE")
    return known[upper]


def _alarms(event: Event) -> list[dict[str, Any]] | None:
    return [
        {
            "action": alarm.text("ACTION"),
            "trigger": _trigger(alarm),
            "related": trigger.param("RELATED") if (trigger := alarm.first("TRIGGER")) else None,
            "description": alarm.text("DESCRIPTION"),
            "summary": alarm.text("SUMMARY"),
            "duration": alarm.value("DURATION"),
            "repeat": alarm.integer("REPEAT"),
        }
        for alarm in event.alarms
    ] or None


def _trigger(alarm: Event) -> str | None:
    value = alarm.value("TRIGGER")
    if value is None or value[:1] in {"P", "+", "-"}:
        return value
    moment = alarm.moment("TRIGGER")
    return moment.text if moment else None


class Column(NamedTuple):
    """A column of the events' table.

    Args:
        schema: Its JSON Schema.
        read: Returns an event's value, or raises ValueError.
    """

    schema: dict[str, Any]
    read: Callable[[Event], Any]


def _column(
    kind: str, read: Callable[[Event], Any], title: str, description: str = "", **schema: Any
) -> Column:
    labels = {"title": title, "description": description} if description else {"title": title}
    return Column({"type": [kind, "null"], **schema, **labels}, read)


def _text_column(name: str, title: str, description: str = "") -> Column:
    return _column("string", lambda event: event.text(name), title, description)


def _value_column(name: str, title: str, description: str = "") -> Column:
    return _column("string", lambda event: event.value(name), title, description)


def _stamp_column(name: str, title: str) -> Column:
    return _column("string", lambda event: event.instant(name), title, format="date-time")


def _moment_columns(
    name: str, moment: Callable[[Event], Moment | None], title: str
) -> dict[str, Column]:
    def part(read: Callable[[Moment], str | None]) -> Callable[[Event], str | None]:
        def of(event: Event) -> str | None:
            found = moment(event)
            return read(found) if found else None

        return of

    return {
        name: _column(
            "string",
            part(lambda found: found.utc),
            title,
            "The instant; null for an all-day event, and for a time without a zone.",
            format="date-time",
        ),
        f"{name}_local": _column(
            "string",
            part(lambda found: found.clock),
            f"{title}, Local",
            "The local time in its time zone.",
        ),
        f"{name}_time_zone": _column(
            "string",
            part(lambda found: found.tzid),
            f"{title}, Time Zone",
            "As in the event, or else the calendar's own.",
        ),
        f"{name}_date": _column(
            "string",
            part(lambda found: found.day),
            f"{title}, Date",
            "Only of an all-day event.",
            format="date",
        ),
    }


def _objects(**properties: str) -> dict[str, Any]:
    """Return the schema of an array's objects, by the JSON type of each property."""
    return {
        "type": "object",
        "properties": {name: {"type": [kind, "null"]} for name, kind in properties.items()},
    }


_TEXTS = {"type": ["string"]}

COLUMNS: dict[str, Column] = {
    "uid": Column(
        {"type": ["string"], "title": "UID", "description": "The record's id in Events."},
        lambda event: event.text("UID"),
    ),
    "recurrence_id": Column(
        {
            "type": ["string"],
            "title": "Recurrence Id",
            "description": (
                f"`{MASTER}` for a single event or a complete series; else the instance's start."
            ),
        },
        lambda event: event.recurrence_id or MASTER,
    ),
    "summary": _text_column("SUMMARY", "Summary"),
    "description": _text_column("DESCRIPTION", "Description"),
    "location": _text_column("LOCATION", "Location"),
    "status": _text_column("STATUS", "Status", "TENTATIVE, CONFIRMED or CANCELLED."),
    "transparency": _text_column("TRANSP", "Transparency", "OPAQUE if the event blocks its time."),
    "class": _text_column("CLASS", "Class", "PUBLIC, PRIVATE or CONFIDENTIAL."),
    "priority": _column("integer", lambda event: event.integer("PRIORITY"), "Priority"),
    "sequence": _column("integer", lambda event: event.integer("SEQUENCE"), "Sequence"),
    "created": _stamp_column("CREATED", "Created"),
    "last_modified": _stamp_column("LAST-MODIFIED", "Last Modified"),
    "dtstamp": _stamp_column("DTSTAMP", "Date-Time Stamp"),
    **_moment_columns("start", lambda event: event.start, "Start"),
    **_moment_columns("end", lambda event: event.end, "End"),
    "all_day": _column(
        "boolean", lambda event: bool(event.start.day) if event.start else None, "All Day"
    ),
    "duration": _value_column("DURATION", "Duration", "If the event has one instead of an end."),
    "rrule": _column("string", _rule, "Recurrence Rule"),
    "rdate": _column(
        "array", lambda event: event.moments("RDATE"), "Recurrence Dates", items=_TEXTS
    ),
    "exdate": _column(
        "array", lambda event: event.moments("EXDATE"), "Exception Dates", items=_TEXTS
    ),
    "organizer_email": _column("string", _organizer(_email), "Organizer, E-mail"),
    "organizer_name": _column(
        "string", _organizer(lambda person: person.param("CN")), "Organizer, Name"
    ),
    "attendees": _column(
        "array",
        _attendees,
        "Attendees",
        items=_objects(
            email="string",
            name="string",
            role="string",
            status="string",
            rsvp="boolean",
            type="string",
        ),
    ),
    "alarms": _column(
        "array",
        _alarms,
        "Alarms",
        items=_objects(
            action="string",
            trigger="string",
            related="string",
            description="string",
            summary="string",
            duration="string",
            repeat="integer",
        ),
    ),
    "categories": _column(
        "array", lambda event: event.texts("CATEGORIES"), "Categories", items=_TEXTS
    ),
    "url": _value_column("URL", "URL"),
    "latitude": _column("number", _coordinate(0), "Latitude"),
    "longitude": _column("number", _coordinate(1), "Longitude"),
    "vevent": _column(
        "string", lambda event: event.raw, "VEVENT", "The complete event, its lines unfolded."
    ),
}
"""By property."""
KEY = ("uid", "recurrence_id")
