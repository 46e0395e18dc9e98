"""An incomplete calendar is never taken for a valid one, and memory and time stay bounded."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_zoho_bulk.decode.ics.calendar import MAX_COMPONENT_BYTES, MAX_EVENTS
from tap_zoho_bulk.exceptions import InvalidValueError, PageDamagedError
from tests.support.calendars import FILE, calendar, decode, decode_page, event, page
from tests.support.pages import page_of, zipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.bulk_read.page import Page

EVENTS = [event("SUMMARY:Grün", UID="1"), event("SUMMARY:Two", UID="2")]
WHOLE = calendar(*EVENTS)
MOVED = event("RECURRENCE-ID:20240308T090000Z", UID="1")


def assert_damaged(content: bytes, *, count: int = 2, match: str = "Leads: page 1") -> None:
    with pytest.raises(PageDamagedError, match=match) as raised:
        decode(content, count=count)
    assert "Leads: page 1 (job 5725767000009000001)" in str(raised.value)


def summaries(content: bytes, *, count: int = 2) -> list[str]:
    return [record["summary"] for record in decode(content, "summary", count=count)]


def test_the_page_that_the_damaged_ones_are_made_from_is_whole() -> None:
    assert summaries(WHOLE) == ["Grün", "Two"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + WHOLE,
        calendar(*EVENTS, line_end="\n"),
        WHOLE.removesuffix(b"\r\n"),
        WHOLE.replace(b"\r\n", b"\r\n\r\n"),
        WHOLE.replace(b"BEGIN", b"Begin").replace(b"VEVENT", b"vevent"),
        calendar(EVENTS[0]) + calendar(EVENTS[1]),
        calendar(["BEGIN:VTODO", *EVENTS[0], "END:VTODO"], *EVENTS),
        WHOLE.replace("Grün".encode(), b"Gr\xc3\r\n \xbc\r\n\tn"),
    ],
)
def test_other_ways_to_write_the_same_are_read(content: bytes) -> None:
    assert summaries(content) == ["Grün", "Two"]


def test_a_page_of_no_events_is_whole() -> None:
    assert decode(calendar(), count=0) == []
    assert decode(b"", count=0) == []


def test_a_truncated_file_is_damaged_wherever_it_ends() -> None:
    for size in range(len(WHOLE) - len("\r\n")):
        assert_damaged(WHOLE[:size])


def test_a_truncated_zip_is_damaged_wherever_it_ends() -> None:
    archive = zipped(WHOLE, FILE)
    for size in range(len(archive)):
        with pytest.raises(PageDamagedError):
            decode_page(page_of(archive[:size], count=2))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "0 events.*2"),
        (b"<html>Service Unavailable</html>", "calendar"),
        (b"X:1\r\n" + WHOLE, "calendar"),
        (WHOLE + b"X:1\r\n", "calendar"),
        (b" " + WHOLE, "calendar"),
        (b"".join(f"{line}\r\n".encode() for one in EVENTS for line in one), "calendar"),
        (WHOLE.replace(b"END:VEVENT\r\n", b"", 1), "end"),
        (WHOLE.replace(b"END:VEVENT", b"END:VTODO", 1), "end"),
        (WHOLE.replace(b"END:VCALENDAR\r\n", b""), "end"),
        (calendar(EVENTS[0]), "1 events.*2"),
        (calendar(*EVENTS, event(UID="3")), "more events.*2"),
        (calendar(*EVENTS, event(UID="3"), MOVED), "more events.*2"),
    ],
)
def test_a_calendar_that_is_not_whole_is_damaged(content: bytes, match: str) -> None:
    assert_damaged(content, match=match)


@pytest.mark.parametrize("count", [2, 3])
def test_moved_instances_may_count_or_not(count: int) -> None:
    keys = [
        (record["uid"], record["recurrence_id"])
        for record in decode(calendar(*EVENTS, MOVED), count=count)
    ]

    assert keys == [("1", "master"), ("2", "master"), ("1", "2024-03-08T09:00:00+00:00")]


def test_a_zip_of_something_else_is_damaged() -> None:
    with pytest.raises(PageDamagedError, match=r"\*\.ics"):
        decode_page(page_of(zipped(WHOLE, "1.csv"), count=2))


def test_nothing_comes_out_of_a_page_that_is_not_whole() -> None:
    many = calendar(*(event(f"SUMMARY:{'x' * 5000}", UID=str(number)) for number in range(100)))
    for damaged in (many, many.replace(b"END:VCALENDAR", b"X:")):
        with pytest.raises(PageDamagedError):
            next(iter(_chunks(page(damaged, count=101 if damaged is many else 100))))


def _chunks(whole: Page) -> Iterator[object]:
    return iter(decode_page(whole))


def test_events_of_one_key_are_told(caplog: pytest.LogCaptureFixture) -> None:
    decode(calendar(EVENTS[0], EVENTS[0], MOVED), count=2)

    assert "1 events" in caplog.text
    assert "RECURRENCE-ID" in caplog.text


# Hostile files

LINE = b"X:" + b"x" * 70 + b"\r\n"
BEGUN = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n"
BOMB = MAX_COMPONENT_BYTES * 3


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (BEGUN + b"SUMMARY:" + b"x" * BOMB, "line"),
        (BEGUN + b"SUMMARY:x" + b"\r\n " * BOMB, "line"),
        (BEGUN + b"\r\n" * BOMB, "line"),
        (b"\r\n" * BOMB, "line"),
        (b"x" * BOMB, "line"),
        (BEGUN + LINE * (BOMB // len(LINE)), "component"),
        (b"BEGIN:VCALENDAR\r\n" + LINE * 1_000_000, "component"),
        (b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n" * 1_000_000, "component"),
        (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VALARM\r\n" * 1_000_000, "component"),
        (BEGUN + b"ATTENDEE:mailto:a@example.com\r\n" * 1_000_000, "component"),
    ],
    ids=[
        *("line", "folds", "empty-lines", "only-empty-lines", "only-a-line", "event"),
        *("calendar", "calendars", "nesting", "attendees"),
    ],
)
def test_a_bomb_ends_long_before_it_is_in_memory(content: bytes, match: str) -> None:
    bomb = page(content)

    tracemalloc.start()
    try:
        with pytest.raises(PageDamagedError, match=match):
            decode_page(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 80 << 20


def test_events_without_end_end() -> None:
    moved = "\r\n".join(MOVED).encode() + b"\r\n"
    assert_damaged(b"BEGIN:VCALENDAR\r\n" + moved * (MAX_EVENTS + 1), match="more")


def test_other_things_without_end_end() -> None:
    note = b"BEGIN:VJOURNAL\r\n" + b"X:" + b"x" * 100_000 + b"\r\nEND:VJOURNAL\r\n"
    assert_damaged(b"BEGIN:VCALENDAR\r\n" + note * 1_000, match="other")


def test_alarms_in_alarms_do_not_exhaust_the_stack() -> None:
    deep = ["BEGIN:VALARM"] * 4_000 + ["END:VALARM"] * 4_000

    (record,) = decode(calendar(event(*deep)))

    assert len(record["alarms"]) == 1


_words = st.sampled_from(
    [
        *("BEGIN:VEVENT", "END:VEVENT", "BEGIN:VALARM", "END:VALARM", "END:VCALENDAR"),
        *("BEGIN:VTIMEZONE", "END:VTIMEZONE", "BEGIN:STANDARD", "END:STANDARD", "TZID:X", "UID:2"),
        *("TZOFFSETFROM:+0100", "TZOFFSETTO:junk", "RRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=1SU"),
        *("DTSTART;TZID=X:20240301T090000", "DTEND:00000000", "DURATION:P1DT99999999999H"),
        *("DTSTART:99991231T235959Z", "DTSTART;TZID=Asia/Tokyo:00010101T000000", "GEO:1;2;3"),
        *("EXDATE:20240301/P1D,,x", 'ATTENDEE;CN="a"b:c', "ATTENDEE;RSVP=X:mailto:a", "GEO:a;b"),
        *("TRIGGER;VALUE=DATE-TIME:x", "SEQUENCE:" + "9" * 5000, "CATEGORIES:\\", " ", "RDATE:/"),
        *("ORGANIZER;EMAIL=", "SUMMARY;=:x", "RECURRENCE-ID;TZID=Nowhere:20240301T090000"),
    ]
)
_lines = st.one_of(
    _words.map(str.encode),
    st.binary(max_size=40),
    st.builds(lambda word, more: word.encode() + more, _words, st.binary(max_size=20)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_lines, max_size=14), st.booleans(), st.integers(0, 2))
def test_any_lines_give_records_or_the_taps_own_errors(
    lines: list[bytes],
    null_if_invalid: bool,  # noqa: FBT001
    count: int,
) -> None:
    content = calendar(event())
    place = content.index(b"END:VEVENT")
    middle = b"".join(line + b"\r\n" for line in lines)

    try:
        records = decode(
            content[:place] + middle + content[place:],
            count=count,
            null_if_invalid=null_if_invalid,
        )
    except (InvalidValueError, PageDamagedError):
        return
    assert all(record["uid"] and record["recurrence_id"] for record in records)
