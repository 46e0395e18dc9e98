"""The ledger of a chain's jobs."""

from __future__ import annotations

from dataclasses import replace

from tap_zoho_bulk.bulk_read.ledger import JobLedger
from tap_zoho_bulk.bulk_read.position import Position

STARTED = "2026-11-25T09:09:34+00:00"
FIRST = Position(1, None, "11", STARTED)
SECOND = Position(2, "two", "12", STARTED)
THIRD = Position(3, "three", "13", STARTED)


def test_a_job_is_found_by_its_page_and_token() -> None:
    ledger = JobLedger([FIRST, SECOND])

    assert ledger.find(replace(SECOND, job_id=None)) == SECOND
    unknown = Position(2, "another", None, STARTED)
    assert ledger.find(unknown) is unknown


def test_a_dropped_job_takes_those_with_it_that_its_token_led_to() -> None:
    ledger = JobLedger([FIRST, SECOND, THIRD])

    assert ledger.drop(SECOND) == replace(SECOND, job_id=None)
    assert ledger.jobs() == (FIRST,)


def test_a_dropped_job_leaves_those_that_are_found_by_number() -> None:
    numbered = Position(2, None, "12", STARTED)
    ledger = JobLedger([FIRST, numbered])

    ledger.drop(FIRST)

    assert ledger.jobs() == (numbered,)


def test_jobs_of_emitted_pages_are_dropped() -> None:
    ledger = JobLedger()
    for position in (FIRST, SECOND, THIRD):
        ledger.add(position)

    ledger.drop_up_to(2)
    assert ledger.jobs() == (THIRD,)
    ledger.clear()
    assert ledger.jobs() == ()
