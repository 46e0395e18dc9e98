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


def test_a_dropped_job_takes_those_of_later_pages_with_it() -> None:
    ledger = JobLedger([FIRST, SECOND, THIRD])

    assert ledger.drop(SECOND) == replace(SECOND, job_id=None)
    assert ledger.jobs() == (FIRST,)


def test_jobs_by_page_number_are_dropped_as_well() -> None:
    """An older export of page 2 lacks a record that has moved there from page 1 meanwhile."""
    ledger = JobLedger([FIRST, Position(2, None, "12", STARTED)])

    ledger.drop(FIRST)

    assert ledger.jobs() == ()


def test_jobs_of_emitted_pages_are_dropped() -> None:
    ledger = JobLedger()
    for position in (FIRST, SECOND, THIRD):
        ledger.add(position)

    ledger.drop_up_to(SECOND)
    assert ledger.jobs() == (THIRD,)
    ledger.clear()
    assert ledger.jobs() == ()


def test_jobs_of_a_chain_that_has_restarted_stay() -> None:
    """The worker thread may restart the chain while the main thread still emits a page."""
    again = replace(FIRST, job_id="21", started="2026-11-26T10:00:00+00:00")
    ledger = JobLedger([again])

    ledger.drop_up_to(SECOND)

    assert ledger.jobs() == (again,)
