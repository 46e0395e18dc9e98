"""The timeline: what a run's events come to, stream by stream and job by job.

Both the live view and the report are drawn from it. It takes events in the order in which they were
told, needs none of them to be there, and trusts no value in them: a log may be cut or come from
anywhere.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T", int, str)

Phase = Literal["queued", "running", "waiting", "downloading", "decoding"]

_MOST_STREAMS = 10_000
_MOST_OPEN_JOBS = 1000
_MOST_NAME_CHARACTERS = 200
_GREATEST = 1 << 53
_LATEST = 1 << 37  # some thousand years from now


@dataclass(slots=True)
class Step:
    """A job's time in one phase.

    Args:
        phase: `queued` and `running` at Zoho, then `downloading` and `decoding` here, with
            `waiting` before each of the two.
        began: In seconds since 1970.
        ended: The same; None while it lasts.
    """

    phase: Phase
    began: float
    ended: float | None = None


@dataclass(slots=True)
class Job:
    """A bulk read job, and what became of its page.

    Args:
        id: Zoho's id; "" where nobody said it.
        page: Number of the page; 0 where nobody said it.
        steps: In the order of time.
        state: As Zoho last named it.
        expected: Records of the page, when Zoho has said so.
        done: Bytes or records of the step at hand so far.
        total: Bytes or records of the step at hand; None if unknown.
        failed: Whether it, or its page, was of no use.
    """

    id: str
    page: int
    steps: list[Step] = field(default_factory=list)
    state: str = ""
    expected: int | None = None
    done: int = 0
    total: int | None = None
    failed: bool = False

    @property
    def step(self) -> Step | None:
        """The step that lasts, if one does."""
        return self.steps[-1] if self.steps and self.steps[-1].ended is None else None

    def enter(self, phase: Phase, at: float) -> None:
        """Begin a phase, where it is not that of the job already."""
        if self.step is not None and self.step.phase == phase:
            return
        self.leave(at)
        self.steps.append(Step(phase, at))
        self.done, self.total = 0, None

    def leave(self, at: float) -> None:
        """End the step that lasts, if one does."""
        if self.step is not None:
            self.steps[-1].ended = max(at, self.steps[-1].began)

    def ended(self, phase: Phase, seconds: float, at: float) -> None:
        """Take note that a phase ended, whether or not anybody told of its beginning."""
        if self.step is None or self.step.phase != phase:
            self.enter(phase, max(at - seconds, self.steps[-1].began if self.steps else 0.0))
        self.leave(at)


@dataclass
class Stream:
    """A stream's part of the run.

    Args:
        name: Its name.
        finished: Its jobs that are over, the latest of them if they are too many to keep.
    """

    name: str
    finished: deque[Job]
    open: dict[str, Job] = field(default_factory=dict)
    began: float | None = None
    ended: float | None = None
    outcome: str | None = None
    records: int = 0
    pages: int = 0
    jobs: int = 0
    bytes: int = 0
    credits: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def all_jobs(self) -> Iterator[Job]:
        """Its jobs, those that are over first."""
        yield from self.finished
        yield from self.open.values()

    @property
    def is_at_work(self) -> bool:
        """Whether something of it is under way."""
        return self.outcome is None and (self.began is not None or bool(self.open))


class Timeline:
    """A run, as its events have told it so far.

    Args:
        keep: Finished jobs to keep of each stream.
    """

    def __init__(self, keep: int) -> None:
        self.streams: dict[str, Stream] = {}
        self.run: str = ""
        self.version: str | None = None
        self.began: float | None = None
        self.latest: float = 0.0
        self.outcome: str | None = None
        self.figures: dict[str, float] = {}
        self.limits: dict[str, float] = {}
        """Seconds that were waited, of all threads, by what the limit is on."""
        self.repeated = 0
        """Requests that were tried again."""
        self._keep = keep

    def take(self, event: Mapping[str, Any]) -> None:
        """Take an event in.

        Args:
            event: As `events.event` made it, or anything else.
        """
        told = _Told(event)
        self.run = self.run or told("run", "")
        at = told.number("at", self.latest)
        if at >= _LATEST:
            at = self.latest
        self.began = at if self.began is None else self.began
        self.latest = max(self.latest, at)
        kind = told("kind", "")
        take = _OF_RUN.get(kind)
        if take is not None:
            take(self, told, at)
            return
        name = told("stream", "")
        stream = self._stream(name) if name else None
        if stream is None:
            return
        stream.credits = max(stream.credits, told("credits", 0))
        of_stream, of_job = _OF_STREAM.get(kind), _OF_JOB.get(kind)
        if of_stream is not None:
            of_stream(stream, told, at)
        elif of_job is not None:
            of_job(stream, self._job(stream, told), told, at)

    def _stream(self, name: str) -> Stream | None:
        name = name[:_MOST_NAME_CHARACTERS]
        if name not in self.streams and len(self.streams) < _MOST_STREAMS:
            self.streams[name] = Stream(name, deque(maxlen=self._keep))
        return self.streams.get(name)

    def _job(self, stream: Stream, told: _Told) -> Job:
        job_id, page = told("job_id", "")[:_MOST_NAME_CHARACTERS], told("page", 0)
        found = stream.open.get(job_id)
        if found is None:
            if len(stream.open) >= _MOST_OPEN_JOBS:
                _finish(stream, next(iter(stream.open.values())), self.latest, failed=False)
            found = stream.open[job_id] = Job(job_id, page)
        return found

    # What happens to the run

    def _run_began(self, told: _Told, at: float) -> None:
        self.began = at
        self.version = told("version", "") or None

    def _selected(self, told: _Told, at: float) -> None:
        del at
        names = told.event.get("names")
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                self._stream(name)

    def _waited(self, told: _Told, at: float) -> None:
        del at
        limit = told("limit", "requests")[:_MOST_NAME_CHARACTERS]
        if limit in self.limits or len(self.limits) < _MOST_STREAMS:
            self.limits[limit] = self.limits.get(limit, 0.0) + told.number("seconds")

    def _repeated(self, told: _Told, at: float) -> None:
        del told, at
        self.repeated += 1

    def _run_ended(self, told: _Told, at: float) -> None:
        self.outcome = told("outcome", "ok")
        names = ("records", "jobs", "bytes", "credits", "seconds")
        self.figures = {name: told.number(name) for name in names}
        for stream in self.streams.values():
            _drop_open(stream, at, failed=False)


class _Told:
    """An event's fields, of which each has the type that is asked for, or is not there."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self.event = event

    def __call__(self, name: str, default: T) -> T:
        value = self.event.get(name)
        if isinstance(value, bool) or not isinstance(value, type(default)):
            return default
        if isinstance(value, int) and not 0 <= value < _GREATEST:
            return default
        return value

    def number(self, name: str, default: float = 0.0) -> float:
        value = self.event.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return default
        return value if 0 <= value < _GREATEST else default  # It may even be infinite.


# What happens to a stream


def _stream_began(stream: Stream, told: _Told, at: float) -> None:
    del told
    stream.began = at if stream.began is None else stream.began


def _stream_ended(stream: Stream, told: _Told, at: float) -> None:
    stream.outcome = told("outcome", "ok")[:_MOST_NAME_CHARACTERS]
    stream.seconds = told.number("seconds")
    stream.began = at - stream.seconds if stream.began is None else stream.began
    stream.ended = at
    stream.records, stream.jobs = told("records", stream.records), told("jobs", stream.jobs)
    stream.bytes = told("bytes", stream.bytes)
    stream.note = told("note", "")[:_MOST_NAME_CHARACTERS]
    _drop_open(stream, at, failed=stream.outcome == "FAILED")


def _chain_restarted(stream: Stream, told: _Told, at: float) -> None:
    del told
    _drop_open(stream, at, failed=True)


def _drop_open(stream: Stream, at: float, *, failed: bool) -> None:
    """End the jobs that nobody will tell more of."""
    for job in list(stream.open.values()):
        _finish(stream, job, at, failed=failed)


def _finish(stream: Stream, job: Job, at: float, *, failed: bool) -> None:
    job.leave(at)
    job.failed = failed
    stream.open.pop(job.id, None)
    stream.finished.append(job)


# What happens to a job


def _job_created(stream: Stream, job: Job, told: _Told, at: float) -> None:
    del told
    stream.jobs += 1
    job.state = "created"
    job.enter("queued", at)


def _job_state(stream: Stream, job: Job, told: _Told, at: float) -> None:
    del stream
    job.state = told("state", "")[:_MOST_NAME_CHARACTERS]
    if not job.steps:  # An earlier run made it.
        job.enter("queued", at - told.number("seconds"))
    if job.state.upper().replace(" ", "").replace("_", "") == "INPROGRESS":
        job.enter("running", at)


def _job_completed(stream: Stream, job: Job, told: _Told, at: float) -> None:
    del stream
    job.state, job.expected = "COMPLETED", told("records", 0)
    if not job.steps:
        job.enter("running", at - told.number("seconds"))
    elif job.step is not None and job.step.phase == "queued":
        job.steps[-1].phase = "running"  # It was over before anybody saw it run.
    job.enter("waiting", at)


def _job_failed(stream: Stream, job: Job, told: _Told, at: float) -> None:
    del told
    _finish(stream, job, at, failed=True)


def _download_began(stream: Stream, job: Job, told: _Told, at: float) -> None:
    del stream
    job.enter("downloading", at)
    job.done, job.total = 0, told("total", 0) or None


def _progress(stream: Stream, job: Job, told: _Told, at: float) -> None:
    del stream, at
    job.done = told("bytes", told("records", 0))


def _download_ended(stream: Stream, job: Job, told: _Told, at: float) -> None:
    stream.bytes += told("bytes", 0)
    job.ended("downloading", told.number("seconds"), at)
    job.enter("waiting", at)


def _decode_began(stream: Stream, job: Job, told: _Told, at: float) -> None:
    del stream
    job.enter("decoding", at)
    job.done, job.total = 0, told("records", 0) or None


def _decode_ended(stream: Stream, job: Job, told: _Told, at: float) -> None:
    stream.records += told("records", 0)
    stream.pages += 1
    job.ended("decoding", told.number("seconds"), at)
    _finish(stream, job, at, failed=False)


def _page_repeated(stream: Stream, job: Job, told: _Told, at: float) -> None:
    if told("by", "") == "download":
        job.enter("waiting", at)
    else:
        _finish(stream, job, at, failed=True)


_OF_RUN = {
    "run_began": Timeline._run_began,  # noqa: SLF001 - it is this file's own
    "streams_selected": Timeline._selected,  # noqa: SLF001
    "limit_waited_for": Timeline._waited,  # noqa: SLF001
    "request_repeated": Timeline._repeated,  # noqa: SLF001
    "run_ended": Timeline._run_ended,  # noqa: SLF001
}
_OF_STREAM = {
    "stream_began": _stream_began,
    "stream_ended": _stream_ended,
    "chain_restarted": _chain_restarted,
}
_OF_JOB = {
    "job_created": _job_created,
    "job_state": _job_state,
    "job_completed": _job_completed,
    "job_failed": _job_failed,
    "download_began": _download_began,
    "download_progress": _progress,
    "download_ended": _download_ended,
    "decode_began": _decode_began,
    "decode_progress": _progress,
    "decode_ended": _decode_ended,
    "page_repeated": _page_repeated,
}
