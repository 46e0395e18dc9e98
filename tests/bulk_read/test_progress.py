"""Progress: what a stream needs to resume is one value, which survives STATE unchanged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.progress import FORMAT, Progress

STARTED = "2026-11-25T09:09:34+00:00"
EARLIER, LATER = "2025-11-09T16:35:00+00:00", "2026-11-26T00:00:00+00:00"

# Written by the version before STATE had a format.
RECORDED = json.loads("""
{
  "query": "4d0b02654a30cb95",
  "page": 4,
  "page_token": "ee0c37830c63974b5d6ce671fd5e81b4fede",
  "job_id": "5725767000009000040",
  "started": "2026-11-25T09:09:34+00:00",
  "rejected": ["Address"],
  "ahead": [{"page": 5, "page_token": "f00d", "job_id": "5725767000009000041"}],
  "latest": "2025-11-09T16:35:00+00:00",
  "version": 1790000000,
  "count": 30
}
""")


def first_page(**known: Any) -> Progress:
    return Progress("q", Position(job_id="1", started=STARTED), **known)


def test_state_of_the_version_before_is_resumed() -> None:
    progress = Progress.from_state(RECORDED)

    assert progress == Progress(
        query="4d0b02654a30cb95",
        position=Position(
            4,
            "ee0c37830c63974b5d6ce671fd5e81b4fede",
            "5725767000009000040",
            STARTED,
            ("Address",),
        ),
        ahead=(Position(5, "f00d", "5725767000009000041", STARTED, ("Address",)),),
        latest=EARLIER,
        version=1790000000,
        count=30,
    )
    assert progress.to_state() == {"format": FORMAT, **RECORDED}


def test_state_of_a_later_version_is_not_guessed_at() -> None:
    assert Progress.from_state({**RECORDED, "format": FORMAT}) is not None
    assert Progress.from_state({**RECORDED, "format": FORMAT + 1}) is None
    assert Progress.from_state({**RECORDED, "format": "2"}) is None


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        "page 4",
        {},
        {**RECORDED, "page": 0},
        {**RECORDED, "page": "4"},
        {**RECORDED, "started": "yesterday"},
        {**RECORDED, "page_token": 5},
        {**RECORDED, "job_id": 5},
        {**RECORDED, "rejected": "Address"},
        {**RECORDED, "rejected": [5]},
    ],
)
def test_what_is_not_a_progress_is_not_resumed(kept: Any) -> None:
    assert Progress.from_state(kept) is None


@pytest.mark.parametrize(
    "ahead",
    [
        "jobs",
        [7],
        [{"page": 4, "job_id": "1"}],  # not a later page
        [{"page": 5}],  # not created
        [{"page": 5, "job_id": 7}],
    ],
)
def test_jobs_of_later_pages_are_taken_only_if_they_are_some(ahead: Any) -> None:
    progress = Progress.from_state({**RECORDED, "ahead": ahead})

    assert progress is not None
    assert progress.ahead == ()


positions = st.builds(
    Position,
    page=st.integers(1, 9),
    page_token=st.none() | st.text("ab", min_size=1),
    job_id=st.text("12", min_size=1),
    started=st.just(STARTED),
    rejected=st.just(("Address",)),
)


@given(
    position=positions,
    jobs=st.lists(positions),
    latest=st.none() | st.just(EARLIER),
    version=st.none() | st.integers(1),
    count=st.none() | st.integers(0),
)
def test_a_progress_comes_back_from_state(
    position: Position,
    jobs: list[Position],
    latest: str | None,
    version: int | None,
    count: int | None,
) -> None:
    progress = Progress("q", position, (), latest, version, count)
    progress = progress.with_jobs([*progress.jobs, *jobs])

    assert Progress.from_state(json.loads(json.dumps(progress.to_state()))) == progress


def test_jobs_of_a_chain_that_restarted_are_of_other_pages() -> None:
    """The first pages of the new chain would be lost if a run resumed at a later one."""
    position = Position(2, None, "old-2", STARTED)
    restarted = [Position(page, None, f"new-{page}", LATER) for page in (1, 2, 3)]

    progress = Progress("q", position).with_jobs(restarted)

    assert progress.position == Position(2, None, None, STARTED)
    assert progress.ahead == ()


def test_a_first_page_made_again_begins_the_chain_anew() -> None:
    restarted = [Position(page, None, f"new-{page}", LATER) for page in (1, 2)]

    progress = Progress("q", Position(1, None, "old-1", STARTED)).with_jobs(restarted)

    assert (progress.position, *progress.ahead) == tuple(restarted)


def test_a_first_page_without_a_job_has_nothing_to_resume_from() -> None:
    assert Progress("q").to_state() is None
    assert Progress("q", Position(started=STARTED)).to_state() is None
    assert first_page().to_state() is not None


def test_the_latest_value_only_grows() -> None:
    progress = first_page().after_records(EARLIER).after_records(None)

    assert progress.latest == EARLIER
    assert progress.after_records(LATER).after_records(EARLIER).latest == LATER


def test_the_bookmark_never_passes_the_creation_of_the_first_job() -> None:
    progress = first_page()

    assert progress.reached is None
    assert progress.after_records(EARLIER).reached == EARLIER
    assert progress.after_records(LATER).reached == STARTED


def test_pages_are_counted_from_the_first_one_on() -> None:
    second = Position(2, "t", started=STARTED)
    progress = first_page(count=7).begin(None).after_page(second, 200)

    assert (progress.position, progress.count) == (second, 200)
    assert progress.after_page(None, 3).count == 203
    assert progress.after_page(None, 3).position == second
    assert first_page().after_page(second, 200).count is None  # An earlier run did not count.


def test_a_position_is_kept_with_the_job_that_was_created_for_it() -> None:
    second, third = (Position(page, "t", str(page), STARTED) for page in (2, 3))
    progress = first_page().after_page(Position(2, "t", None, STARTED), 200)

    with_jobs = progress.with_jobs([Position(1, None, "1", STARTED), second, third])

    assert with_jobs.position == second
    assert with_jobs.ahead == (third,)
    # Another token is another page.
    other = progress.with_jobs([Position(2, "u", "9", STARTED)])
    assert other.position.job_id is None
    # A job that is no longer of use is not kept.
    assert with_jobs.with_jobs([third]).position == replace(second, job_id=None)
