"""The timeline: a run as its events describe it, stream by stream and job by job.

The live view and the report show it. It expects events in the order in which they were logged. It
works without any of them and trusts no value in them: a log may be cut, or come from anywhere.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tap_zoho_bulk.crm.job_status import JobStatus
from tap_zoho_bulk.reporting.phases import JobTimeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T", int, str)

_MAX_STREAMS = 10_000
_MAX_OPEN_JOBS = 1000
_MAX_NAME_CHARACTERS = 200
_MAX_NUMBER = 1 << 53
_MAX_TIME_SECONDS = 1 << 37  # thousands of years after 1970


@dataclass
class StreamTimeline:
    """A stream's part of the run.

    Args:
        name: The stream's name.
        finished: Its finished jobs, or only the latest if there are too many to keep.
    """

    name: str
    finished: deque[JobTimeline]
    open: dict[str, JobTimeline] = field(default_factory=dict)
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
    def all_jobs(self) -> Iterator[JobTimeline]:
        """All of its jobs, finished ones first."""
        yield from self.finished
        yield from self.open.values()

    @property
    def is_active(self) -> bool:
        """Whether the stream or one of its jobs is in progress."""
        return self.outcome is None and (self.began is not None or bool(self.open))


class Timeline:
    """A run as its events have described it so far.

    Args:
        max_finished_jobs: Maximum number of finished jobs to keep per stream.
    """

    def __init__(self, max_finished_jobs: int) -> None:
        self.streams: dict[str, StreamTimeline] = {}
        self.run: str = ""
        self.version: str | None = None
        self.began: float | None = None
        self.latest: float = 0.0
        self.outcome: str | None = None
        self.figures: dict[str, float] = {}
        self.limits: dict[str, float] = {}
        """Seconds that all threads together have waited for each limit, other than in a job."""
        self.retries = 0
        """Retries of requests."""
        self._max_finished_jobs = max_finished_jobs
        self._of_run = {
            "run_began": self._run_began,
            "streams_selected": self._streams_selected,
            "limit_waited_for": self._limit_waited_for,
            "request_repeated": self._request_repeated,
            "run_ended": self._run_ended,
        }

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event.

        Args:
            event: As `events.event` creates it, or anything else.
        """
        fields = _Fields(event)
        self.run = self.run or fields("run", "")
        at = fields.number("at", self.latest)
        if at >= _MAX_TIME_SECONDS:
            at = self.latest
        self.began = at if self.began is None else self.began
        self.latest = max(self.latest, at)
        kind = fields("kind", "")
        name = fields("stream", "")
        of_run = self._of_run.get(kind)
        if of_run is not None and not (name and kind in _OF_JOB):
            of_run(fields, at)
            return
        stream = self._stream(name) if name else None
        if stream is None:
            return
        stream.credits = max(stream.credits, fields("credits", 0))
        of_stream, of_job = _OF_STREAM.get(kind), _OF_JOB.get(kind)
        if of_stream is not None:
            of_stream(stream, fields, at)
        elif of_job is not None:
            of_job(stream, self._job(stream, fields), fields, at)

    def _stream(self, name: str) -> StreamTimeline | None:
        name = name[:_MAX_NAME_CHARACTERS]
        if name not in self.streams and len(self.streams) < _MAX_STREAMS:
            finished: deque[JobTimeline] = deque(maxlen=self._max_finished_jobs)
            self.streams[name] = StreamTimeline(name, finished)
        return self.streams.get(name)

    def _job(self, stream: StreamTimeline, fields: _Fields) -> JobTimeline:
        job_id, page = fields("job_id", "")[:_MAX_NAME_CHARACTERS], fields("page", 0)
        found = stream.open.get(job_id)
        if found is None:
            if len(stream.open) >= _MAX_OPEN_JOBS:
                _finish(stream, next(iter(stream.open.values())), self.latest, failed=False)
            found = stream.open[job_id] = JobTimeline(job_id, page)
        return found

    # Events of the run

    def _run_began(self, fields: _Fields, at: float) -> None:
        self.began = at
        self.version = fields("version", "") or None

    def _streams_selected(self, fields: _Fields, at: float) -> None:
        del at
        names = fields.event.get("names")
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                self._stream(name)

    def _limit_waited_for(self, fields: _Fields, at: float) -> None:
        del at
        limit = fields("limit", "requests")[:_MAX_NAME_CHARACTERS]
        if limit in self.limits or len(self.limits) < _MAX_STREAMS:
            self.limits[limit] = self.limits.get(limit, 0.0) + fields.number("seconds")

    def _request_repeated(self, fields: _Fields, at: float) -> None:
        del fields, at
        self.retries += 1

    def _run_ended(self, fields: _Fields, at: float) -> None:
        self.outcome = fields("outcome", "ok")
        names = ("records", "jobs", "bytes", "credits", "seconds")
        self.figures = {name: fields.number(name) for name in names}
        for stream in self.streams.values():
            _finish_open(stream, at, failed=False)


class _Fields:
    """An event's fields. One without the expected type counts as missing."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self.event = event

    def __call__(self, name: str, default: T) -> T:
        value = self.event.get(name)
        if isinstance(value, bool) or not isinstance(value, type(default)):
            return default
        if isinstance(value, int) and not 0 <= value < _MAX_NUMBER:
            return default
        return value

    def number(self, name: str, default: float = 0.0) -> float:
        value = self.event.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return default
        return value if 0 <= value < _MAX_NUMBER else default  # NaN and infinity also fail.


# Events of a stream


def _stream_began(stream: StreamTimeline, fields: _Fields, at: float) -> None:
    del fields
    stream.began = at if stream.began is None else stream.began


def _stream_ended(stream: StreamTimeline, fields: _Fields, at: float) -> None:
    stream.outcome = fields("outcome", "ok")[:_MAX_NAME_CHARACTERS]
    stream.seconds = fields.number("seconds")
    stream.began = at - stream.seconds if stream.began is None else stream.began
    stream.ended = at
    stream.records, stream.jobs = fields("records", stream.records), fields("jobs", stream.jobs)
    stream.bytes = fields("bytes", stream.bytes)
    stream.note = fields("note", "")[:_MAX_NAME_CHARACTERS]
    _finish_open(stream, at, failed=stream.outcome == "FAILED")


def _chain_restarted(stream: StreamTimeline, fields: _Fields, at: float) -> None:
    del fields
    _finish_open(stream, at, failed=True)


def _finish_open(stream: StreamTimeline, at: float, *, failed: bool) -> None:
    """Finish the open jobs, of which no further event is expected."""
    for job in list(stream.open.values()):
        _finish(stream, job, at, failed=failed)


def _finish(stream: StreamTimeline, job: JobTimeline, at: float, *, failed: bool) -> None:
    job.leave(at)
    job.failed = failed
    stream.open.pop(job.id, None)
    stream.finished.append(job)


# Events of a job


def _job_created(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del fields
    stream.jobs += 1
    job.state = "created"
    job.enter("queued", at)


def _job_state(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del stream
    job.state = fields("state", "")[:_MAX_NAME_CHARACTERS]
    if not job.phases:  # An earlier run created the job.
        job.enter("queued", at - fields.number("seconds"))
    if JobStatus.parse(job.state) is JobStatus.IN_PROGRESS:
        job.enter("running", at)


def _job_completed(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del stream
    job.state, job.expected = "COMPLETED", fields("records", 0)
    if not job.phases:
        job.enter("running", at - fields.number("seconds"))
    elif job.phase is not None and job.phase.name == "queued":
        job.phases[-1].name = "running"  # The job completed between two status checks.
    job.enter("requesting", at)


def _job_failed(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del fields
    _finish(stream, job, at, failed=True)


def _space_waited_for(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del stream, fields
    job.enter("waiting for disk", at)


def _slot_waited_for(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del stream
    job.enter("waiting for slot", at)
    seconds = fields.number("seconds")
    job.until = at + seconds if seconds else None


def _download_began(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del stream
    job.enter("downloading", at)
    job.done, job.total = 0, fields("total", 0) or None


def _progress(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del stream
    job.done, job.progressed = fields("bytes", fields("records", 0)), at
    _blocked(job, fields)


def _blocked(job: JobTimeline, fields: _Fields) -> None:
    if job.phases:
        job.phases[-1].blocked = fields.number("blocked")


def _download_ended(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    stream.bytes += fields("bytes", 0)
    job.ended("downloading", fields.number("seconds"), at)
    job.enter("waiting for target", at)


def _decode_began(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    del stream
    job.enter("decoding", at)
    job.done, job.total = 0, fields("records", 0) or None


def _decode_ended(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    stream.records += fields("records", 0)
    stream.pages += 1
    job.ended("decoding", fields.number("seconds"), at)
    _blocked(job, fields)
    _finish(stream, job, at, failed=False)


def _page_repeated(stream: StreamTimeline, job: JobTimeline, fields: _Fields, at: float) -> None:
    if fields("by", "") == "download":
        job.enter("requesting", at)
    else:
        _finish(stream, job, at, failed=True)


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
    "space_waited_for": _space_waited_for,
    "limit_waited_for": _slot_waited_for,
    "download_began": _download_began,
    "download_progress": _progress,
    "download_ended": _download_ended,
    "decode_began": _decode_began,
    "decode_progress": _progress,
    "decode_ended": _decode_ended,
    "page_repeated": _page_repeated,
}
