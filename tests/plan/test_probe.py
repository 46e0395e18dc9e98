"""`tap-zoho-bulk-plan --probe` finds out what Zoho leaves open, and shows no data."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_zoho_crm import CsvStyle, Fault, Organisation
from tap_zoho_bulk.plan.forms import calendar_form, form_of
from tests.support.singer import FAST, ROOT
from tests.support.terminal import TerminalTap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve
    from tests.plan.conftest import PlanCommand

PLAN = "tap_zoho_bulk/plan"
LONG_WORD = re.compile(r"[^\W\d_]{4,}|\d{3,}")
PROGRAM = ("-c", "from tap_zoho_bulk.plan.command import main; main()")
ZOHOS_PRODID = "PRODID:-//Zoho CRM//NONSGML Calendar//EN"


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    return Organisation.generate(seed=61, only=["Leads", "Events"], sizes={"Leads": 200})


def test_each_switch_of_the_server_shows_in_the_report(
    plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    usual = serve(organisation)
    unusual = serve(
        organisation,
        no_content=204,
        csv=CsvStyle(
            id_column="id",
            booleans=("FALSE", "TRUE"),
            separator=",",
            bom=True,
            line_end="\n",
            numbers=",.2f",
            percents="{}%",
            offsets="Z",
            surplus_columns=("Extra",),
            shuffled=True,
            quote_all=True,
        ),
    )
    body = {"code": "TOO_MANY_REQUESTS", "info": {}, "status": "error"}
    unusual.faults.add(Fault(path="/result$", status=429, body=body, headers={"Retry-After": "0"}))
    report = ("--format", "json", "--probe", "--yes")

    found = json.loads(plan(usual, *report, jobs=1).stdout)
    other = json.loads(plan(unusual, *report, jobs=1).stdout)

    def both(name: str) -> tuple[str, str]:
        return found[name].partition("; ")[2], other[name].partition("; ")[2]

    assert found["id column"] == "`Id`, column 1"
    assert other["id column"].startswith("`id`, column ")
    assert (found["BOM"], other["BOM"]) == ("no", "yes")
    assert (found["line ends"], other["line ends"]) == ("CRLF", "LF")
    assert [each["header"].split(", ")[1] for each in (found, other)] == ["not quoted", "quoted"]
    assert (found["surplus columns"], other["surplus columns"]) == ("0", "1")
    assert found["order of columns"] == "as requested"
    assert both("boolean") == ("`false`, `true`", "`FALSE`, `TRUE`")
    assert [each[-3:] for each in both("multiselectpicklist")] == ["`;`", "`,`"]
    assert "offsets `-07:00`, `-08:00`" in both("datetime")[0]
    assert "offsets `Z`" in both("datetime")[1]
    assert "%" not in found["percent"]
    assert "`0.0%`" in other["percent"]
    assert "`0,0.0`" in other["currency"]
    assert "not a number" in other["currency"]
    assert re.search(r"\d+ as in REST$", found["currency"])
    for name in ("no records changed", "no records deleted"):
        assert (found[name], other[name]) == ("HTTP 304", "HTTP 204")
    assert found["429"] == "not seen"
    assert other["429"] == (
        "HTTP 429, keys ['code', 'info', 'status'], code TOO_MANY_REQUESTS, Retry-After 0"
    )
    assert found["actions/count"] == "the same"


def test_a_calendars_head_is_shown(
    plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    head = ("VERSION:2.0", ZOHOS_PRODID, "X-WR-TIMEZONE:Europe/Berlin", "X-WR-CALNAME:Secret")
    server = serve(organisation, csv=CsvStyle(ics_head=head))

    planned = plan(server, "--probe", "ics", "--yes", jobs=1)

    assert f"VERSION:2.0; {ZOHOS_PRODID}; X-WR-TIMEZONE:a/a; X-WR-CALNAME:a" in planned.stdout
    assert "12 VEVENT" in planned.stdout
    assert "DTSTART;TZID=" in planned.stdout


def test_a_report_holds_no_data(plan: PlanCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=62, only=["Leads", "Events"], awkward=0.5)
    server = serve(organisation)

    shown = "".join(
        plan(server, "--probe", kind, "--yes", jobs=1).stdout for kind in ("csv", "ics")
    )

    values = [
        value if isinstance(value, str) else json.dumps(value, default=str)
        for name in ("Leads", "Events")
        for record in organisation.truth(name).values()
        for value in record.values()
        if value is not None
    ]
    words = {word for value in values for word in LONG_WORD.findall(value)}
    # What the report says of itself, what servers answer, and the words of booleans.
    own = "".join(file.read_text(encoding="utf-8") for file in (ROOT / PLAN).glob("*.py"))
    answers = "Meetings application download COMPLETED ADDED PROGRESS QUEUED false true 2026"
    leaked = words & {*LONG_WORD.findall(shown)} - {*LONG_WORD.findall(own + answers)}
    assert len(words) > 200
    assert not leaked
    assert not [name for name in organisation.modules if name in shown]


def test_without_a_terminal_a_probe_needs_a_yes(
    plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)

    planned = plan(server, "--probe")

    assert planned.exit_code == 2
    assert "--yes" in planned.stderr
    assert not planned.stdout
    assert not server.requests


@pytest.mark.parametrize(("answer", "jobs"), [("n\r", 0), ("\r", 0), ("y\r", 1)])
def test_a_probe_asks_before_it_starts_a_job(
    serve: Serve, organisation: Organisation, tmp_path: Path, answer: str, jobs: int
) -> None:
    server = serve(organisation)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(server.tap_config(**FAST)))

    with TerminalTap(
        ["--config", str(config), "--probe"], program=PROGRAM, stdin_too=True, size=(100, 24)
    ) as terminal:
        asked = terminal.wait_for(lambda lines: any("[y/N]" in line for line in lines))
        assert "one bulk read job for 200 records of Leads, at about 52 API credits" in asked[0]
        spent = server.credits
        terminal.type(answer)
        exit_code = terminal.end()
        shown = "\n".join(terminal.lines)

    assert exit_code == 0
    assert len(server.jobs) == jobs
    assert ("id column" in terminal.stdout.decode()) is bool(jobs)
    if not jobs:
        assert server.credits == spent
        assert f"No job was started. To choose one cost {spent} API credits." in shown


def test_ctrl_c_in_place_of_an_answer_starts_no_job(
    serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(server.tap_config(**FAST)))

    with TerminalTap(
        ["--config", str(config), "--probe"], program=PROGRAM, stdin_too=True
    ) as terminal:
        terminal.wait_for(lambda lines: any("[y/N]" in line for line in lines))
        terminal.interrupt_until_it_ends()
        assert terminal.end() == 128 + signal.SIGINT

    assert not server.jobs


def test_a_refusal_within_data_is_seen(
    plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    refused = {"code": "TOO_MANY_REQUESTS", "details": {}, "message": "", "status": "error"}
    server.faults.add(Fault(path="/read$", status=200, body={"data": [refused]}))

    planned = plan(server, "--probe", "--yes", jobs=1)

    assert (
        "429: HTTP 200, keys ['data'], keys of data ['code', 'details', 'message', 'status'], code "
        "TOO_MANY_REQUESTS, Retry-After missing"
    ) in planned.stdout


@given(st.text())
def test_a_form_holds_no_letter_and_no_digit_of_a_value(text: str) -> None:
    for form in (form_of(text), calendar_form(f"X;Y={text}:{text}").removeprefix("X;Y=")):
        assert set(re.findall(r"\w+", form)) <= {"0", "a", *_mixed(form)}
        assert form.isascii() or set(form) - set(map(chr, range(128))) == {"·"}


def _mixed(form: str) -> list[str]:
    """Return what joins forms: a T and a Z of a date-time, and underscores."""
    return [word for word in re.findall(r"\w+", form) if not set(word) - set("0aTZ_")]
