"""A job is completed only with a valid result; it is polled less and less, up to a deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.bulk_read.download import Downloader
from tap_zoho_bulk.bulk_read.job import BulkReadJobs
from tap_zoho_bulk.bulk_read.page import JobRef, JobResult
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.exceptions import JobFailedError, Problem, StoppedError, ZohoRefusedError
from tap_zoho_bulk.reporting.spending import Spending
from tap_zoho_bulk.settings import Settings
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from tap_zoho_bulk.api.request import ApiRequest
    from tests.support.singer import Json

SETTINGS: Json = {
    "client_id": "1000.ID",
    "client_secret": "s3cret",
    "refresh_token": "1000.r3fresh",
    "poll_interval_seconds": 1,
    "max_poll_interval_seconds": 10,
    "job_timeout_seconds": 100,
}
RESULT: Json = {
    "page": 1,
    "per_page": 200_000,
    "count": 7,
    "download_url": "/crm/bulk/v8/read/42/result",
    "more_records": False,
}
QUERY = BulkReadQuery("Leads", ())


class Zoho(ZohoClient):
    """Returns the given responses in order, and then the last one again and again."""

    def __init__(self, clock: FakeClock, *answers: Json | Exception | None) -> None:
        super().__init__(Settings.from_config(SETTINGS))
        self.clock = clock
        self.answers = list(answers)
        self.asked: list[str] = []

    @property
    def stop(self) -> FakeClock:
        """Return the stop event: the test's clock."""
        return self.clock

    def get(self, request: ApiRequest, **_: Any) -> Json | None:
        """Return the response to a poll of a job."""
        self.asked.append(request.path)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def create_job(self, request: ApiRequest, body: Json, **_: Any) -> Json:
        """Return the response to the creation of a job."""
        assert body is not None
        answer = self.get(request)
        assert answer is not None
        return answer


def state(name: Any, **more: Any) -> Json:
    return {"data": [{"id": "42", "state": name, **more}]}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(5000.0)


def jobs(zoho: Zoho, **settings: Any) -> BulkReadJobs:
    made = Settings.from_config({**SETTINGS, **settings})
    return BulkReadJobs(zoho, Downloader(zoho, None), made, Spending(), clock=zoho.clock.monotonic)


def wait(zoho: Zoho, **settings: Any) -> JobResult:
    return jobs(zoho, **settings).wait(QUERY, JobRef("Leads", 1, "42"))


def test_every_state_before_the_end_is_waited_for(clock: FakeClock) -> None:
    before = ["ADDED", "QUEUED", "IN PROGRESS", "IN_PROGRESS", "INPROGRESS", "in progress"]
    zoho = Zoho(clock, *map(state, before), state("COMPLETED", result=RESULT))

    result = wait(zoho)

    assert result == JobResult(
        count=7,
        download_url="/crm/bulk/v8/read/42/result",
        more_records=False,
        next_page_token=None,
    )
    assert zoho.asked == [f"{QUERY.path}/42"] * 7


def test_a_result_before_completion_is_not_taken(clock: FakeClock) -> None:
    early = {**RESULT, "count": 1}
    zoho = Zoho(clock, state("IN PROGRESS", result=early), state("COMPLETED", result=RESULT))

    assert wait(zoho).count == 7


def test_the_interval_grows_to_its_limit(clock: FakeClock) -> None:
    zoho = Zoho(clock, *[state("QUEUED")] * 29, state("COMPLETED", result=RESULT))

    wait(zoho, job_timeout_seconds=1000)

    assert clock.waits[0] == 1
    assert clock.waits == sorted(clock.waits)
    assert clock.waits[-1] == 10
    assert all(
        later <= 2 * before for before, later in zip(clock.waits, clock.waits[1:], strict=False)
    )
    assert clock.waits[3] > 1.5


@pytest.mark.parametrize(
    "answer",
    [
        state("QUEUED"),
        state("PAUSED"),
        state("DONE", result=RESULT),
        state(None),
        state(5),
        state("COMPLETED"),
        state("COMPLETED", result=None),
        state("COMPLETED", result={**RESULT, "count": None}),
        state("COMPLETED", result={**RESULT, "count": -1}),
        state("COMPLETED", result={**RESULT, "count": True}),
        state("COMPLETED", result={**RESULT, "download_url": ""}),
        state("COMPLETED", result={**RESULT, "more_records": "yes"}),
        state("COMPLETED", result={key: RESULT[key] for key in RESULT if key != "more_records"}),
        state("COMPLETED", result={**RESULT, "next_page_token": 5}),
        {"data": []},
        {"data": ["x"]},
        {"data": {}},
        {},
        None,
    ],
    ids=str,
)
def test_what_is_no_success_fails_at_the_deadline(clock: FakeClock, answer: Json | None) -> None:
    zoho = Zoho(clock, answer)

    with pytest.raises(JobFailedError, match="job_timeout_seconds") as raised:
        wait(zoho)

    assert "Leads" in str(raised.value)
    assert "42" in str(raised.value)
    assert clock.now == pytest.approx(5100)
    assert sum(clock.waits) == pytest.approx(100)


def test_a_job_that_is_completed_at_the_deadline_is_taken(clock: FakeClock) -> None:
    zoho = Zoho(clock, state("QUEUED"), state("COMPLETED", result=RESULT))

    result = wait(zoho, poll_interval_seconds=90, max_poll_interval_seconds=90)

    assert result.count == 7
    assert clock.waits == [90, 10]


@pytest.mark.parametrize("name", ["FAILURE", "Failed", "failure"])
def test_a_failure_is_told_with_zohos_words(clock: FakeClock, name: str) -> None:
    problem = {
        "status": "error",
        "code": "INTERNAL_SERVER_ERROR",
        "message": "Oops.",
        "details": {},
    }
    zoho = Zoho(clock, state(name, result={"error_message": problem}))

    with pytest.raises(JobFailedError, match="INTERNAL_SERVER_ERROR") as raised:
        wait(zoho)

    for part in ("Leads", "42", "Oops."):
        assert part in str(raised.value)
    assert len(zoho.asked) == 1


@pytest.mark.parametrize("result", [None, {}, {"error_message": "Oops."}, "Oops."])
def test_a_failure_without_words_is_one_too(clock: FakeClock, result: Any) -> None:
    zoho = Zoho(clock, state("FAILURE", result=result))

    with pytest.raises(JobFailedError, match="FAILURE"):
        wait(zoho)


def test_a_job_that_zoho_does_not_know_has_failed(clock: FakeClock) -> None:
    gone = ZohoRefusedError("look at it", Problem(status=404, code="RESOURCE_NOT_FOUND"))

    with pytest.raises(JobFailedError, match="42"):
        wait(Zoho(clock, gone))


def test_another_refusal_is_not_taken_for_a_failed_job(clock: FakeClock) -> None:
    refusal = ZohoRefusedError("look at it", Problem(status=403, code="NO_PERMISSION"))

    with pytest.raises(ZohoRefusedError, match="NO_PERMISSION"):
        wait(Zoho(clock, refusal))


def test_waiting_ends_when_the_run_does(clock: FakeClock) -> None:
    clock.stop_after = 3
    zoho = Zoho(clock, state("QUEUED"))

    with pytest.raises(StoppedError):
        wait(zoho)

    assert len(zoho.asked) == 2


def test_the_next_pages_token_is_read(clock: FakeClock) -> None:
    result = {**RESULT, "more_records": True, "next_page_token": "abc"}

    found = wait(Zoho(clock, state("COMPLETED", result=result)))

    assert found.more_records
    assert found.next_page_token == "abc"


def created(**details: Any) -> Json:
    return {"data": [{"status": "success", "code": "ADDED_SUCCESSFULLY", "details": details}]}


def test_a_created_job_has_its_time_in_utc(clock: FakeClock) -> None:
    zoho = Zoho(clock, created(id="42", created_time="2024-11-03T01:30:00-07:00"))

    made = jobs(zoho).create(QUERY, 1, {})

    assert made.id == "42"
    assert made.created_time == "2024-11-03T08:30:00+00:00"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": []},
        {"data": [{"details": None}]},
        created(),
        created(id=None, created_time="2024-11-03T01:30:00-07:00"),
        created(id="42"),
        created(id="42", created_time="soon"),
        created(
            id="42", created_time="2024-11-03T01:30:00"
        ),  # without an offset, it is not an instant
    ],
)
def test_a_job_without_id_or_instant_is_none(clock: FakeClock, answer: Json) -> None:
    with pytest.raises(JobFailedError, match="Leads"):
        jobs(Zoho(clock, answer)).create(QUERY, 1, {})


@pytest.mark.parametrize(
    "position",
    [
        Position(page=1, job_id="42", started="2024-11-03T08:30:00+00:00"),
        Position(3, "token", "42", "2024-11-03T08:30:00+00:00", ("Address", "Coordinates")),
        Position(3, None, None, "2024-11-03T08:30:00+00:00"),
    ],
)
def test_a_position_comes_back_from_state(position: Position) -> None:
    assert Position.from_state(position.to_state()) == position


def test_a_first_position_has_nothing_to_go_on_from() -> None:
    assert Position.from_state(Position().to_state()) is None
