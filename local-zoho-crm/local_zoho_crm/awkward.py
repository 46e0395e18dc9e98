"""Valid values that careless code damages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

HUGE_TEXT = '0123456789 Umläute, "quotes" and\nlines 🙂 ' * 4_800
"""More than 200,000 characters; the default limit of Python's csv module is 131,072."""

AWKWARD_TEXTS = [
    "Smith, John",
    'The "best" one',
    '"',
    '""',
    ",",
    "null",
    "NULL",
    "None",
    "true",
    "False",
    "NaN",
    "00123",
    "1e5",
    "=1+1",
    "@SUM(A1)",
    "-",
    " leading and trailing ",
    "\ttab\t",
    "NUL\x00inside",
    'back\\slash \\n \\"',
    "semi;colon",
    "Zażółć gęślą jaźń",
    "emoji 👩‍👩‍👧‍👦 🇺🇳",
    "שלום עולם",
    "مرحبا",
    "e\u0301 combining",
    "zero\u200bwidth",
    "\ufeffBOM first",
    "no\u00a0break",
    "line\u2028separator",
    "next\u0085line",
    "\U0001d518\U0001d52b",  # outside the Basic Multilingual Plane
    "<script>alert('x')</script>",
    "%s {0} ${EMPTY}",
    "2024-03-10",
    "👾" * 60,
]

AWKWARD_TEXTAREAS = [
    *AWKWARD_TEXTS,
    "two\nlines",
    "windows\r\nlines",
    "old mac\rlines",
    "\n",
    "ends with a newline\n",
    'quote at the end of a line"\n"and at the start, too',
    'a,"b",\n"c,d"\n\n',
    "Id,Last_Name\n1,looks like a CSV",
    "long " * 1000,
]


@cache
def daylight_changes(zone: ZoneInfo) -> list[datetime]:
    """Return instants around each change of the zone's offset in 2024, and two distant ones."""
    found = [
        datetime(1970, 1, 1, tzinfo=timezone.utc),
        datetime(2099, 12, 31, 23, 59, 59, tzinfo=timezone.utc),
    ]
    hour = datetime(2024, 1, 1, tzinfo=timezone.utc)
    while hour.year == 2024:
        later = hour + timedelta(hours=1)
        if hour.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            found += [later + timedelta(seconds=away) for away in (-3600, -1, 0, 1, 1800, 3600)]
        hour = later
    return found
