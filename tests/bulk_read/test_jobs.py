"""A job is done only when Zoho says so whole, and it is looked at ever more rarely, with an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.bulk_read import job as job_module
from tap_zoho_bulk.bulk_read.download import Downloader
from tap_zoho_bulk.bulk_read.job import BulkReadJobs
from tap_zoho_bulk.bulk_read.page import JobRef, JobResult
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.exceptions import JobFailedError, Problem, StoppedError, ZohoRefusedError
from tap_zoho_bulk.reporting.spending import Spending
from tap_zoho_bulk.settings import Settings

if TYPE_CHECKING:
    import threading

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


class Time:
    """A clock that goes on only when somebody waits, and remembers for how long."""

    def __init__(self) -> None:
        self.now = 5000.0
        self.waits: list[float] = []
        self.stopped_after: int | None = None

    def monotonic(self) -> float:
        """Tell the time."""
        return self.now

    def wait(self, seconds: float) -> bool:
        """Let the time pass; tell whether the run is ending, as an event does."""
        self.waits.append(seconds)
        self.now += seconds
        return self.stopped_after is not None and len(self.waits) >= self.stopped_after


class Zoho(ZohoClient):
    """Answers what it is told to, in that order, and the last answer for ever."""

    def __init__(self, time: Time, *answers: Json | Exception | None) -> None:
        super().__init__(Settings.from_config(SETTINGS))
        self._time: Any = time
        self.answers = list(answers)
        self.asked: list[str] = []

    @property
    def stop(self) -> threading.Event:
        """What ends waits: the test's clock."""
        event: threading.Event = self._time
        return event

    def get(self, request: ApiRequest, **_: Any) -> Json | None:
        """Answer a request for a job's status."""
        self.asked.append(request.path)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def create_job(self, request: ApiRequest, body: Json, **_: Any) -> Json:
        """Answer a request for a job."""
        assert body is not None
        answer = self.get(request)
        assert answer is not None
        return answer


def state(name: Any, **more: Any) -> Json:
    return {"data": [{"id": "42", "state": name, **more}]}


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(job_module, "time", made)
    return made


def jobs(zoho: Zoho, **settings: Any) -> BulkReadJobs:
    made = Settings.from_config({**SETTINGS, **settings})
    return BulkReadJobs(zoho, Downloader(zoho, None), made, Spending())


def wait(zoho: Zoho, **settings: Any) -> JobResult:
    return jobs(zoho, **settings).wait(QUERY, JobRef("Leads", 1, "42"))


def test_every_state_before_the_end_is_waited_for(time: Time) -> None:
    before = ["ADDED", "QUEUED", "IN PROGRESS", "IN_PROGRESS", "INPROGRESS", "in progress"]
    zoho = Zoho(time, *map(state, before), state("COMPLETED", result=RESULT))

    result = wait(zoho)

    assert result == JobResult(
        count=7,
        download_url="/crm/bulk/v8/read/42/result",
        more_records=False,
        next_page_token=None,
    )
    assert zoho.asked == [f"{QUERY.path}/42"] * 7


def test_a_result_before_completion_is_not_taken(time: Time) -> None:
    early = {**RESULT, "count": 1}
    zoho = Zoho(time, state("IN PROGRESS", result=early), state("COMPLETED", result=RESULT))

    assert wait(zoho).count == 7


def test_the_interval_grows_to_its_limit(time: Time) -> None:
    zoho = Zoho(time, *[state("QUEUED")] * 29, state("COMPLETED", result=RESULT))

    wait(zoho, job_timeout_seconds=1000)

    assert time.waits[0] == 1
    assert time.waits == sorted(time.waits)
    assert time.waits[-1] == 10
    assert all(
        later <= 2 * before for before, later in zip(time.waits, time.waits[1:], strict=False)
    )
    assert time.waits[3] > 1.5


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
def test_what_is_no_success_fails_at_the_deadline(time: Time, answer: Json | None) -> None:
    zoho = Zoho(time, answer)

    with pytest.raises(JobFailedError, match="job_timeout_seconds") as raised:
        wait(zoho)

    assert "Leads" in str(raised.value)
    assert "42" in str(raised.value)
    assert time.now == pytest.approx(5100)
    assert sum(time.waits) == pytest.approx(100)


def test_a_job_that_is_completed_at_the_deadline_is_taken(time: Time) -> None:
    zoho = Zoho(time, state("QUEUED"), state("COMPLETED", result=RESULT))

    result = wait(zoho, poll_interval_seconds=90, max_poll_interval_seconds=90)

    assert result.count == 7
    assert time.waits == [90, 10]


@pytest.mark.parametrize("name", ["FAILURE", "Failed", "failure"])
def test_a_failure_is_told_with_zohos_words(time: Time, name: str) -> None:
    problem = {
        "status": "error",
        "code": "INTERNAL_SERVER_ERROR",
        "message": "Oops.",
        "details": {},
    }
    zoho = Zoho(time, state(name, result={"error_message": problem}))

    with pytest.raises(JobFailedError, match="INTERNAL_SERVER_ERROR") as raised:
        wait(zoho)

    for part in ("Leads", "42", "Oops."):
        assert part in str(raised.value)
    assert len(zoho.asked) == 1


@pytest.mark.parametrize("result", [None, {}, {"error_message": "Oops."}, "Oops."])
def test_a_failure_without_words_is_one_too(time: Time, result: Any) -> None:
    zoho = Zoho(time, state("FAILURE", result=result))

    with pytest.raises(JobFailedError, match="FAILURE"):
        wait(zoho)


def test_a_job_that_zoho_does_not_know_has_failed(time: Time) -> None:
    gone = ZohoRefusedError("look at it", Problem(status=404, code="RESOURCE_NOT_FOUND"))

    with pytest.raises(JobFailedError, match="42"):
        wait(Zoho(time, gone))


def test_another_refusal_is_not_taken_for_a_failed_job(time: Time) -> None:
    refusal = ZohoRefusedError("look at it", Problem(status=403, code="NO_PERMISSION"))

    with pytest.raises(ZohoRefusedError, match="NO_PERMISSION"):
        wait(Zoho(time, refusal))


def test_waiting_ends_when_the_run_does(time: Time) -> None:
    time.stopped_after = 3
    zoho = Zoho(time, state("QUEUED"))

    with pytest.raises(StoppedError):
        wait(zoho)

    assert len(zoho.asked) == 2


def test_the_next_pages_token_is_read(time: Time) -> None:
    result = {**RESULT, "more_records": True, "next_page_token": "abc"}

    found = wait(Zoho(time, state("COMPLETED", result=result)))

    assert found.more_records
    assert found.next_page_token == "abc"


def created(**details: Any) -> Json:
    return {"data": [{"status": "success", "code": "ADDED_SUCCESSFULLY", "details": details}]}


def test_a_created_job_has_its_time_in_utc(time: Time) -> None:
    zoho = Zoho(time, created(id="42", created_time="2024-11-03T01:30:00-07:00"))

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
        created(id="42", created_time="2024-11-03T01:30:00"),  # no instant without an offset
    ],
)
def test_a_job_without_id_or_instant_is_none(time: Time, answer: Json) -> None:
    with pytest.raises(JobFailedError, match="Leads"):
        jobs(Zoho(time, answer)).create(QUERY, 1, {})


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
