"""`make prose` finds the words and phrases that the project avoids, and only these."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.singer import ROOT

FOUND = {
    '"""Give the page."""': '"""give',
    '    """Tells whether it is there."""': '"""tells',
    '"""Name the views."""': '"""name',
    "_MOST_PAGES = 3": "_most_",
    "LONGEST_WAIT_SECONDS = 3": "longest_",
    "Mend it in Zoho.": "mend",
    "The file is no ZIP.": "is no",
    "Two of them are no modules.": "are no",
    "The page is not whole.": "whole",
    "Read everything whole again.": "whole",
    "The log tells why.": "tells",
    "The event is told once.": "told",
    "Three pages at most.": "at most",
    "It goes on from page 3.": "goes on",
    "Events have it, too.": ", too",
    "Get rid of it.": "rid of",
    "Nobody listens.": "nobody",
    "The pages come one by one.": "one by one",
    "Jobs run side by side.": "side by side",
    "It was recieved.": "recieved",
}
PLAIN = [
    '"""Return the page."""',
    '"""Name of the stream."""',
    '"""Names of all streams."""',
    "There is no such page, and there are no others.",
    "The page is no longer needed.",
    "It must be a whole number, or a series as a whole.",
    "The interval is whole seconds.",
    "with memoryview(data) as whole, whole[written:] as rest:",
    "if told in names:",
    "It takes at most three pages.",
    "The request has too many fields.",
    'records = {"Last_Name": "Nobody"}',
]


@pytest.fixture(scope="module")
def words_found() -> dict[str, list[str]]:
    """What the check finds in each line."""
    lines = [*FOUND, *PLAIN]
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "-"],
        cwd=ROOT,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (65, "")
    found: dict[str, list[str]] = {line: [] for line in lines}
    line = ""
    for shown in done.stdout.splitlines():
        if numbered := re.match(r"(\d+): ", shown):
            line = lines[int(numbered[1]) - 1]
        else:
            found[line].append(shown.strip().partition(" ==> ")[0].lower())
    return found


@pytest.mark.parametrize("line", FOUND)
def test_a_word_to_avoid_is_found(words_found: dict[str, list[str]], line: str) -> None:
    assert words_found[line] == [FOUND[line]]


@pytest.mark.parametrize("line", PLAIN)
def test_plain_english_is_not_found(words_found: dict[str, list[str]], line: str) -> None:
    assert words_found[line] == []
