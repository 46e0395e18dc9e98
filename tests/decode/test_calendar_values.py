"""A record has the values of its event: texts, times, people, rules, alarms."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar.timezone import tzp

from local_zoho_crm.calendar_parts import ZONES, Attendee, Zone, escaped, folded, writable
from tap_zoho_bulk.decode.ics.columns import COLUMNS
from tap_zoho_bulk.exceptions import InvalidValueError
from tests.support.calendars import calendar, decode, decode_one, event
from tests.support.tables import any_text

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD_OFFICE = next(zone for zone in ZONES if zone.tzid == "Zoho/Head Office")
UTC = timezone.utc


def decode_in_zones(zones: Iterable[Zone], *lines: str) -> dict[str, Any]:
    """Return the record of an event in a calendar that defines these zones after it."""
    definitions = chain.from_iterable(zone.definition for zone in zones)
    (record,) = decode(calendar(event(*lines), definitions))
    return record


def test_an_event_that_says_nothing_is_null_but_for_its_key() -> None:
    record = decode_one(DTSTART=None)

    assert record.pop("vevent") == "BEGIN:VEVENT\r\nUID:1@zoho.example\r\nEND:VEVENT\r\n"
    assert {name: value for name, value in record.items() if value is not None} == {
        "uid": "1@zoho.example",
        "recurrence_id": "master",
    }
    assert record.keys() == COLUMNS.keys() - {"vevent"}


# Texts

_texts = any_text.map(writable).filter(bool).map(str)


@settings(max_examples=200, deadline=None)
@given(_texts, st.sampled_from(["SUMMARY", "DESCRIPTION", "LOCATION"]))
def test_any_text_comes_as_it_was_before_it_was_escaped_and_folded(text: str, name: str) -> None:
    assert decode_one(folded(f"{name}:{escaped(text)}"))[name.lower()] == text


@settings(max_examples=200, deadline=None)
@given(_texts, st.lists(st.integers(1, 60), min_size=1), st.sampled_from(["\r\n", "\n"]))
def test_a_line_may_be_folded_anywhere_inside_of_characters_too(
    text: str, widths: list[int], line_end: str
) -> None:
    content = calendar(event(f"SUMMARY:{escaped(text)}"), line_end=line_end)
    line = f"SUMMARY:{escaped(text)}".encode()
    pieces, place = [], 0
    for width in widths * (len(line) // sum(widths) + 1):
        pieces.append(line[place : place + width])
        place += width
    fold = line_end.encode() + b" "
    cut = content.replace(line, fold.join([*filter(None, pieces), line[place:]]))

    (record,) = decode(cut)

    assert record["summary"] == text
    assert record["vevent"].split("\r\n")[3] == line.decode()


@settings(max_examples=200, deadline=None)
@given(_texts)
def test_any_name_comes_as_it_was_before_it_became_a_parameter(text: str) -> None:
    line = Attendee("a@b.example", text, None, None, None, None).line("ORGANIZER")

    record = decode_one(folded(line))

    assert (record["organizer_name"], record["organizer_email"]) == (text, "a@b.example")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\\Nb\\nc", "a\nb\nc"),
        ("\\\\n \\\\\\n", "\\n \\\n"),
        ("a%2Cb:c;d,e", "a%2Cb:c;d,e"),
        (" lead", " lead"),
        ("", None),
    ],
)
def test_texts_that_are_easily_misread(value: str, text: str | None) -> None:
    assert decode_one(f"SUMMARY;LANGUAGE=en:{value}")["summary"] == text


@settings(max_examples=100, deadline=None)
@given(st.lists(_texts, min_size=1, max_size=4))
def test_categories_are_split_only_between_them(categories: list[str]) -> None:
    line = f"CATEGORIES:{','.join(map(escaped, categories))}"

    assert decode_one(line, "CATEGORIES:more")["categories"] == [*categories, "more"]


# Times


def start_of(*lines: str, zones: Iterable[Zone] = ()) -> list[Any]:
    """Return the start of an event: instant, local time, zone, date."""
    record = decode_in_zones(zones, *lines)
    return [record[f"start{ending}"] for ending in ("", "_local", "_time_zone", "_date")]


def test_the_forms_of_a_time() -> None:
    nine = "2024-07-01T09:00:00"
    assert start_of("DTSTART:20240701T090000Z") == [f"{nine}+00:00", nine, "UTC", None]
    assert start_of("DTSTART:20240701T090000") == [None, nine, None, None]
    assert start_of("DTSTART;VALUE=DATE:20240701") == [None, None, None, "2024-07-01"]
    assert start_of("DTSTART:20240701") == [None, None, None, "2024-07-01"]
    for name, hour in (
        ("America/Los_Angeles", "16"),
        ("Asia/Kolkata", "03:30"),
        ("W. Europe Standard Time", "07"),
        ("Pacific Standard Time", "16"),
        ("UTC", "09"),
    ):
        utc = f"2024-07-01T{hour if ':' in hour else hour + ':00'}:00+00:00"
        assert start_of(f'DTSTART;TZID="{name}":20240701T090000') == [utc, nine, name, None]


def test_a_time_without_a_zone_is_in_the_calendars_own() -> None:
    """In daylight saving and out of it; the event's own zone, UTC and days stay as they are."""
    lines = ["DTSTART:20240701T090000", "DURATION:PT1H", "EXDATE:20241201T090000"]
    moved = event("RECURRENCE-ID:20241201T090000", "DTSTART;TZID=Asia/Kolkata:20240701T090000")
    own = ["X-WR-CALNAME:Anna\\, Ltd", "x-wr-timezone;X=1:America/New_York", "X-WR-TIMEZONE:UTC"]

    floats, named = decode(calendar(own, event(*lines), moved), count=2)

    assert (floats["start"], floats["start_time_zone"], floats["start_local"]) == (
        *("2024-07-01T13:00:00+00:00", "America/New_York", "2024-07-01T09:00:00"),
    )
    assert (floats["end"], floats["end_local"]) == (
        *("2024-07-01T14:00:00+00:00", "2024-07-01T10:00:00"),
    )
    assert floats["exdate"] == ["2024-12-01T14:00:00+00:00"] == [named["recurrence_id"]]
    assert (named["start"], named["start_time_zone"]) == (
        *("2024-07-01T03:30:00+00:00", "Asia/Kolkata"),
    )
    (utc,) = decode(calendar(own, event("DTSTART:20240701T090000Z")))
    assert (utc["start"], utc["start_time_zone"]) == ("2024-07-01T09:00:00+00:00", "UTC")
    (day,) = decode(calendar(own, event("DTSTART:20240701")))
    assert (day["start"], day["start_time_zone"]) == (None, None)


@pytest.mark.parametrize(("name", "zone"), [("Nowhere/Town", "Nowhere/Town"), ("", None)])
def test_a_calendars_own_zone_that_is_unknown_is_not_guessed(name: str, zone: str | None) -> None:
    own = [f"X-WR-TIMEZONE:{name}"]

    (record,) = decode(calendar(own, event("DTSTART:20240701T090000")), null_if_invalid=True)

    assert (record["start"], record["start_time_zone"]) == (None, zone)
    assert record["start_local"] == "2024-07-01T09:00:00"


def test_a_zone_that_only_the_file_knows() -> None:
    for line, hour in (("20240701T090000", "13"), ("20241201T090000", "14")):
        found = start_of(f"DTSTART;TZID={HEAD_OFFICE.tzid}:{line}", zones=ZONES)
        assert found[0] == f"{line[:4]}-{line[4:6]}-01T{hour}:00:00+00:00"
        assert found[2] == "Zoho/Head Office"


def test_a_zone_may_be_defined_before_or_after_or_with_a_name_to_unescape() -> None:
    name = "(UTC-05:00) New York; Boston, etc."
    zone = Zone(
        name,
        HEAD_OFFICE.rules,
        tuple(
            line.replace(f"TZID:{HEAD_OFFICE.tzid}", f"TZID:{escaped(name)}")
            for line in HEAD_OFFICE.definition
        ),
    )
    one = event(f'DTSTART;TZID="{name}":20240701T090000')
    for components in ([zone.definition, one], [one, zone.definition]):
        (record,) = decode(calendar(*components))
        assert record["start"] == "2024-07-01T13:00:00+00:00"
        assert record["start_time_zone"] == name


def test_the_database_knows_a_zone_better_than_the_file() -> None:
    """Before 2007, clocks there changed on other days, which many definitions omit."""
    angeles = [zone for zone in ZONES if zone.tzid == "America/Los_Angeles"]

    found = start_of("DTSTART;TZID=America/Los_Angeles:20060410T090000", zones=angeles)

    assert found[0] == "2006-04-10T16:00:00+00:00"


@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.tzid)
@pytest.mark.parametrize("name", [None, "Own/Name"])
def test_daylight_saving_by_the_hour(zone: Zone, name: str | None) -> None:
    """Times that clocks skip or repeat, as RFC 5545 defines them, with and without the database."""
    definition = [
        line.replace(f"TZID:{zone.tzid}", f"TZID:{name or zone.tzid}") for line in zone.definition
    ]
    first = [datetime(2024, month, day) for month in (3, 10, 11) for day in (1, 9, 26)]  # noqa: DTZ001
    locals_ = [day + timedelta(minutes=30 * half) for day in first for half in range(48 * 7)]
    events = [
        event(f"DTSTART;TZID={name or zone.tzid}:{local:%Y%m%dT%H%M%S}", UID=str(number))
        for number, local in enumerate(locals_)
    ]

    records = decode(calendar(*events, definition), "start", count=len(events))

    # PEP 495 and RFC 5545 agree on skipped and repeated times.
    expected = [local.replace(tzinfo=zone.rules).astimezone(UTC).isoformat() for local in locals_]
    assert [record["start"] for record in records] == expected


def test_what_a_file_defines_is_not_known_to_the_next_one() -> None:
    line = f"DTSTART;TZID={HEAD_OFFICE.tzid}:20240701T090000"
    decode_in_zones([HEAD_OFFICE], line)

    with pytest.raises(InvalidValueError, match="`start`"):
        decode(calendar(event(line)))
    assert tzp.timezone(HEAD_OFFICE.tzid) is None


@pytest.mark.parametrize(
    "rule",
    [
        "RRULE:FREQ=SECONDLY",
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=1SU;BYSECOND=1,2",
        "RRULE:FREQ=YEARLY;BYDAY=SU",
        "TZOFFSETTO:+9900",
        "DTSTART:junk",
        "RRULE:FREQ=YEARLY;BYMONTH=99;BYDAY=1SU",
    ],
)
def test_a_zone_whose_definition_is_odd_is_unknown(rule: str) -> None:
    odd = [*HEAD_OFFICE.definition[:3], rule, *HEAD_OFFICE.definition[3:]]
    line = f"DTSTART;TZID={HEAD_OFFICE.tzid}:20240701T090000"

    (record,) = decode(calendar(odd, event(line)), null_if_invalid=True)

    assert record["start"] is None
    assert record["start_local"] == "2024-07-01T09:00:00"
    assert record["start_time_zone"] == HEAD_OFFICE.tzid


def test_a_time_of_an_unknown_zone_has_no_instant() -> None:
    for name in ("Nowhere/Town", "../../etc/passwd", "Europe", "x" * 300):
        (record,) = decode(
            calendar(event(f"DTSTART;TZID={name}:20240701T090000")), null_if_invalid=True
        )
        assert record["start"] is None
        assert record["start_local"] == "2024-07-01T09:00:00"


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (["DTSTART;VALUE=DATE:20240301", "DTEND;VALUE=DATE:20240303"], "2024-03-03"),
        (["DTSTART;VALUE=DATE:20240228"], "2024-02-29"),
        (["DTSTART;VALUE=DATE:20240228", "DURATION:P2D"], "2024-03-01"),
        (["DTSTART;VALUE=DATE:20240228", "DURATION:P1W"], "2024-03-06"),
    ],
)
def test_whole_days_end_before_their_end(lines: list[str], end: str) -> None:
    record = decode_one(*lines)

    assert record["all_day"] is True
    assert record["end_date"] == end
    assert [record[name] for name in ("start", "start_local", "end", "end_time_zone")] == [None] * 4


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (["DTSTART:20240301T090000Z", "DTEND:20240301T100000Z"], "2024-03-01T10:00:00+00:00"),
        (["DTSTART:20240301T090000Z"], "2024-03-01T09:00:00+00:00"),
        (["DTSTART:20240301T090000Z", "DURATION:PT1H30M"], "2024-03-01T10:30:00+00:00"),
        # 9 March has 23 hours there: a day is a day of the calendar, an hour is an hour.
        (
            ["DTSTART;TZID=America/Los_Angeles:20240309T120000", "DURATION:P1D"],
            "2024-03-10T19:00:00+00:00",
        ),
        (
            ["DTSTART;TZID=America/Los_Angeles:20240309T120000", "DURATION:PT24H"],
            "2024-03-10T20:00:00+00:00",
        ),
        (
            ["DTSTART;TZID=America/Los_Angeles:20240309T120000", "DURATION:P1DT1H"],
            "2024-03-10T20:00:00+00:00",
        ),
    ],
)
def test_the_end_is_told_or_follows_from_the_start(lines: list[str], end: str) -> None:
    record = decode_one(*lines)

    assert record["end"] == end
    assert record["all_day"] is False
    given = next((line for line in lines if line.startswith("DURATION")), "")
    assert record["duration"] == (given.partition(":")[2] or None)


def test_the_end_of_a_floating_event_floats() -> None:
    record = decode_one("DTSTART:20240301T230000", "DURATION:PT2H")

    assert (record["end"], record["end_local"]) == (None, "2024-03-02T01:00:00")


def test_a_moved_instance_and_a_cancelled_one_are_named_alike() -> None:
    """In whatever zone they are written, `exdate` and `recurrence_id` can be joined."""
    master = event(
        "DTSTART;TZID=Europe/Berlin:20240301T090000",
        "RRULE:FREQ=WEEKLY;COUNT=5",
        "EXDATE;TZID=Europe/Berlin:20240308T090000,20240405T090000",
        "EXDATE:20240315T080000Z",
        "RDATE;VALUE=PERIOD:20240601T080000Z/PT2H,20240602T080000Z/20240602T090000Z",
        "RDATE;VALUE=DATE:20240603",
    )
    moved = event("RECURRENCE-ID;TZID=Europe/Berlin:20240405T090000")

    first, second = decode(calendar(master, moved), count=2)

    assert first["rrule"] == "FREQ=WEEKLY;COUNT=5"
    assert first["exdate"] == [
        "2024-03-08T08:00:00+00:00",
        "2024-04-05T07:00:00+00:00",  # daylight saving has begun
        "2024-03-15T08:00:00+00:00",
    ]
    assert second["recurrence_id"] == first["exdate"][1]
    assert first["rdate"] == [
        "2024-06-01T08:00:00+00:00/PT2H",
        "2024-06-02T08:00:00+00:00/2024-06-02T09:00:00+00:00",
        "2024-06-03",
    ]


def test_instances_of_days_and_floating_series_are_named_too() -> None:
    for line, name in (
        ("RECURRENCE-ID;VALUE=DATE:20240308", "2024-03-08"),
        ("RECURRENCE-ID:20240308T090000", "2024-03-08T09:00:00"),
    ):
        assert decode(calendar(event(line)))[0]["recurrence_id"] == name


# The rest


@pytest.mark.parametrize(
    ("line", "email", "name"),
    [
        ("ORGANIZER;CN=Ann:mailto:ann@b.example", "ann@b.example", "Ann"),
        ("ORGANIZER;cn=Ann:MAILTO:ann@b.example", "ann@b.example", "Ann"),
        ("ORGANIZER;CN=Smith, John:mailto:a@b.example", "a@b.example", "Smith, John"),
        ("ORGANIZER:ann@b.example", "ann@b.example", None),
        ("ORGANIZER;EMAIL=ann@b.example:urn:uuid:1", "ann@b.example", None),
        ("ORGANIZER:urn:uuid:1", None, None),
        ("ORGANIZER:", None, None),
        ('ORGANIZER;CN="A: b; c, d";DIR="ldap://x:1/a?b":mailto:a@b', "a@b", "A: b; c, d"),
    ],
)
def test_an_organizer(line: str, email: str | None, name: str | None) -> None:
    record = decode_one(line)

    assert (record["organizer_email"], record["organizer_name"]) == (email, name)


def test_alarms_are_told_apart_from_the_event() -> None:
    record = decode_one(
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "DESCRIPTION:of the alarm",
        "TRIGGER;RELATED=END:-PT15M",
        "END:VALARM",
        "BEGIN:VLOCATION",
        "NAME:Hall",
        "SUMMARY:of the place",
        "END:VLOCATION",
        "SUMMARY:of the event",
        "BEGIN:VALARM",
        "ACTION:AUDIO",
        "TRIGGER;VALUE=DATE-TIME:20240301T083000Z",
        "REPEAT:2",
        "DURATION:PT5M",
        "END:VALARM",
    )

    assert record["summary"] == "of the event"
    assert record["description"] is None
    assert [list(alarm.values()) for alarm in record["alarms"]] == [
        ["DISPLAY", "-PT15M", "END", "of the alarm", None, None, None],
        ["AUDIO", "2024-03-01T08:30:00+00:00", None, None, None, "PT5M", 2],
    ]


def test_a_place_keeps_every_digit() -> None:
    record = decode_one("GEO:37.3860130000001;-122.08293200000000001")

    assert record["latitude"] == Decimal("37.3860130000001")
    assert record["longitude"] == Decimal("-122.08293200000000001")


# What cannot be parsed

INVALID = [
    ("start", "DTSTART:20240230T090000Z"),
    ("start", "DTSTART:20240301T250000Z"),
    ("start", "DTSTART:tomorrow-secret"),
    ("end", "DTEND:2024-03-01 secret"),
    ("end", "DURATION:secret"),
    ("end", "DURATION:P999999999D"),
    ("start", "DTSTART;TZID=secret:20240301T090000"),
    ("dtstamp", "DTSTAMP:20240301T090000"),
    ("created", "CREATED:secret"),
    ("sequence", "SEQUENCE:secret"),
    ("sequence", "SEQUENCE:2147483648"),
    ("exdate", "EXDATE:20240301T090000Z,secret"),
    ("rdate", "RDATE:20240301T090000Z/"),
    ("attendees", "ATTENDEE;RSVP=secret:mailto:a@b.example"),
    ("attendees", 'ATTENDEE;CN=a"secret"b:mailto:a@b.example'),
    ("latitude", "GEO:37.5"),
    ("longitude", "GEO:37.5;secret"),
    ("summary", "SUMMARY no colon, secret"),
]


@pytest.mark.parametrize(("name", "line"), INVALID)
def test_what_cannot_be_read_fails_and_shows_nothing_of_it(name: str, line: str) -> None:
    with pytest.raises(InvalidValueError) as raised:
        decode(calendar(event(line)), name)

    message = str(raised.value)
    assert message.startswith("Leads: page 1 (job 5725767000009000001): event '1@zoho.example'")
    assert f"`{name}`" in message
    assert "secret" not in message


@pytest.mark.parametrize(("name", "line"), INVALID)
def test_what_cannot_be_read_is_null_when_told_so(
    name: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        (record,) = decode(
            calendar(event(line, STATUS="CONFIRMED")), name, "status", null_if_invalid=True
        )

    assert record[name] is None
    assert record["status"] == "CONFIRMED"
    assert f"`{name}`" in caplog.text
    assert "null" in caplog.text
    assert "secret" not in caplog.text


def test_bytes_that_are_no_text_cost_their_property_only() -> None:
    content = calendar(event("SUMMARY:x", "LOCATION:Köln")).replace(b":x", b":\xff")

    (record,) = decode(content, null_if_invalid=True)

    assert (record["summary"], record["location"], record["vevent"]) == (None, "Köln", None)
    with pytest.raises(InvalidValueError, match=r"`summary`.*UTF-8"):
        decode(content)


@pytest.mark.parametrize("null_if_invalid", [False, True])
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("uid", ["UID:"]),
        ("uid", ["UID"]),
        ("recurrence_id", ["RECURRENCE-ID:junk"]),
        ("recurrence_id", ["RECURRENCE-ID;TZID=Nowhere:20240301T090000"]),
    ],
)
def test_an_event_without_its_key_always_fails(
    name: str,
    lines: list[str],
    null_if_invalid: bool,  # noqa: FBT001
) -> None:
    with pytest.raises(InvalidValueError, match=f"`{name}`"):
        decode(calendar(event(*lines)), null_if_invalid=null_if_invalid)


def test_zone_names_of_the_database_are_there() -> None:
    """They are there on any system, because icalendar depends on tzdata."""
    assert ZoneInfo("America/Los_Angeles").key == "America/Los_Angeles"
