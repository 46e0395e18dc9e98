"""The phases of a job, and how a run's time divides among them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_zoho_bulk.reporting.events import event
from tap_zoho_bulk.reporting.page_progress import DecodeProgress
from tap_zoho_bulk.reporting.phases import Phase, PhaseName, shares
from tap_zoho_bulk.reporting.timeline import Timeline
from tests.support.structured_log import events_of

NAMES: list[PhaseName] = [*PhaseName.__args__]  # type: ignore[attr-defined]


def phases_of(*events: dict[str, object]) -> list[tuple[str, float, float | None]]:
    """Return the phases of the only job of a run of these events: name, beginning and end."""
    timeline = Timeline(10)
    for each in events:
        fields = event("job_state", "Leads", page=1, job_id="1")["sync_event"]
        timeline.add({**fields, **each})
    (job,) = timeline.streams["Leads"].all_jobs
    return [(phase.name, phase.began, phase.ended) for phase in job.phases]


def test_each_wait_is_a_phase_of_its_own() -> None:
    """An ordinary log lacks the beginning of downloads and of decoding, whose ends say it."""
    assert phases_of(
        {"kind": "job_created", "at": 10},
        {"kind": "job_state", "at": 12, "state": "IN PROGRESS"},
        {"kind": "job_completed", "at": 20},
        {"kind": "space_waited_for", "at": 21},
        {"kind": "limit_waited_for", "at": 31, "limit": "downloads"},
        {"kind": "limit_waited_for", "at": 35, "limit": "downloads", "seconds": 7},
        {"kind": "download_ended", "at": 50, "seconds": 5, "bytes": 9},
        {"kind": "decode_ended", "at": 70, "seconds": 12, "records": 3, "blocked": 4},
    ) == [
        ("queued", 10, 12),
        ("running", 12, 20),
        ("requesting", 20, 21),
        ("waiting for disk", 21, 31),
        ("waiting for slot", 31, 42),
        ("requesting", 42, 45),
        ("downloading", 45, 50),
        ("waiting for target", 50, 58),
        ("decoding", 58, 70),
    ]


def test_a_log_from_before_waits_were_told_is_drawn() -> None:
    assert phases_of(
        {"kind": "job_created", "at": 10},
        {"kind": "job_completed", "at": 20},
        {"kind": "download_ended", "at": 50, "seconds": 5, "bytes": 9},
        {"kind": "decode_ended", "at": 70, "seconds": 12, "records": 3},
    ) == [
        ("running", 10, 20),
        ("requesting", 20, 45),
        ("downloading", 45, 50),
        ("waiting for target", 50, 58),
        ("decoding", 58, 70),
    ]


def test_a_limit_that_no_page_waited_for_is_the_runs() -> None:
    timeline = Timeline(10)
    about: dict[str, Any] = {"limit": "access tokens", "seconds": 7.0}

    timeline.add(event("limit_waited_for", **about)["sync_event"])
    timeline.add(event("limit_waited_for", "Leads", job_id="1", **about)["sync_event"])

    assert timeline.limits == {"access tokens": 7.0}


def test_a_moment_counts_for_the_phase_nearest_to_the_target() -> None:
    phases = [
        Phase("running", 0, 60),
        Phase("waiting for slot", 10, 30),
        Phase("downloading", 30, 40),
        Phase("decoding", 40, 55, blocked=9),
        Phase("waiting for target", 35, 50),
    ]

    found = shares(phases, 60)

    assert {name: seconds for name, seconds in found.items() if seconds} == {
        "running": 15,
        "waiting for slot": 20,
        "downloading": 5,
        "waiting for target": 5 + 9,
        "decoding": 6,
    }


TIMES = st.floats(0, 1000)
PHASES = st.builds(Phase, st.sampled_from(NAMES), TIMES, st.none() | TIMES, TIMES)


@given(st.lists(PHASES))
def test_shares_are_never_more_than_the_run(phases: list[Phase]) -> None:
    found = shares(phases, 1000)

    assert all(seconds >= -1e-6 for seconds in found.values())
    assert sum(found.values()) == pytest.approx(
        sum(any(each.began <= at + 0.5 < each.end(1000) for each in phases) for at in range(1000)),
        abs=2 * len(phases) + 1,
    )


def test_decoding_says_how_long_the_target_blocked_it(caplog: pytest.LogCaptureFixture) -> None:
    written = 100.0  # by other pages
    progress = DecodeProgress("Leads", 1, "5", expected=4, seconds_writing=lambda: written)

    with caplog.at_level(logging.INFO):
        for _ in progress.of(iter(["ab", "cd"])):
            written += 30
        progress.ended()

    (ended,) = events_of(caplog.records, "decode_ended")
    assert (ended["records"], ended["blocked"]) == (4, 60)
