"""The phases of a job: what it does, or waits for, from its creation until its page is emitted.

Invariant: the phases of a job follow one another, and none overlaps the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PhaseName = Literal[
    "queued",
    "running",
    "requesting",
    "waiting for disk",
    "waiting for slot",
    "downloading",
    "waiting for target",
    "decoding",
]
"""In the order in which a job passes through them."""


@dataclass(slots=True)
class Phase:
    """One phase of a job.

    Args:
        name: `queued` and `running` at Zoho; `requesting` the result; waiting for disk space, and
            for a slot of Zoho's limit of downloads; `downloading`; waiting for the target to take
            other pages; `decoding`, and emitting.
        began: In seconds since 1970.
        ended: Likewise; None while the phase lasts.
        blocked: Seconds of it in which the target blocked the tap.
    """

    name: PhaseName
    began: float
    ended: float | None = None
    blocked: float = 0.0

    def end(self, latest: float) -> float:
        """Return when the phase ended, or what is known to belong to it.

        Args:
            latest: Time of the latest event.
        """
        return max(latest if self.ended is None else self.ended, self.began)

    def seconds(self, latest: float) -> float:
        """Return how long the phase took.

        Args:
            latest: Time of the latest event.
        """
        return self.end(latest) - self.began

    def seconds_blocked(self, latest: float) -> float:
        """Return how long the target blocked it, which is never more than it took.

        Args:
            latest: Time of the latest event.
        """
        return min(self.blocked, self.seconds(latest))


@dataclass(slots=True)
class JobTimeline:
    """A bulk read job and its page.

    Args:
        id: Zoho's id; "" if unknown.
        page: Number of the page; 0 if unknown.
        phases: In chronological order.
        state: The latest state as Zoho names it.
        expected: Number of records of the page; None until Zoho reports it.
        done: Bytes or records of the current phase so far.
        total: Bytes or records of the current phase in total; None if unknown.
        progressed: When `done` was reported, in seconds since 1970.
        until: When the current phase ends, likewise; None if unknown.
        failed: Whether the job failed or its page was discarded.
    """

    id: str
    page: int
    phases: list[Phase] = field(default_factory=list)
    state: str = ""
    expected: int | None = None
    done: int = 0
    total: int | None = None
    progressed: float = 0.0
    until: float | None = None
    failed: bool = False

    @property
    def phase(self) -> Phase | None:
        """The current phase; None between phases."""
        return self.phases[-1] if self.phases and self.phases[-1].ended is None else None

    def enter(self, name: PhaseName, at: float) -> None:
        """Begin a phase, unless the job is in it already."""
        self.advance(at)
        if self.phase is not None and self.phase.name == name:
            return
        self.leave(at)
        self.phases.append(Phase(name, at))
        self.done, self.total, self.until = 0, None, None
        self.progressed = at

    def leave(self, at: float) -> None:
        """End the current phase, if any."""
        self.advance(at)
        if self.phase is not None:
            self.phases[-1].ended = max(at, self.phases[-1].began)

    def advance(self, at: float) -> None:
        """Begin the phase after a wait whose end is known, if it is over."""
        if self.until is not None and at > self.until:
            over, self.until = self.until, None
            self.enter("requesting", over)

    def ended(self, name: PhaseName, seconds: float, at: float) -> None:
        """Record the end of a phase, whether or not its beginning was recorded."""
        if self.phase is None or self.phase.name != name:
            self.enter(name, max(at - seconds, self.phases[-1].began if self.phases else 0.0))
        self.leave(at)


def shares(phases: Iterable[Phase], latest: float) -> dict[PhaseName, float]:
    """Return the run's own seconds by phase.

    Each moment counts for the phase nearest to the target that any job was in: a job that waits for
    Zoho costs no time while the page of another one is emitted. What blocked a page counts as
    waiting for the target.

    Args:
        phases: Of all jobs.
        latest: Time of the latest event.
    """
    names: tuple[PhaseName, ...] = get_args(PhaseName)
    intervals: dict[PhaseName, list[tuple[float, float]]] = {name: [] for name in names}
    blocked = 0.0
    for phase in phases:
        intervals[phase.name].append((phase.began, phase.end(latest)))
        blocked += phase.seconds_blocked(latest)
    seconds: dict[PhaseName, float] = {}
    nearer: list[tuple[float, float]] = []
    counted = 0.0
    for name in reversed(names):
        nearer = list(_union([*nearer, *intervals[name]]))
        covered = sum(ended - began for began, ended in nearer)
        seconds[name] = covered - counted
        counted = covered
    blocked = min(blocked, seconds["decoding"])
    seconds["decoding"] -= blocked
    seconds["waiting for target"] += blocked
    return seconds


def _union(intervals: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield the same moments as disjoint intervals, in their order."""
    began = ended = -math.inf
    for start, end in sorted(intervals):
        if start > ended:
            if ended > began:
                yield began, ended
            began, ended = start, end
        ended = max(ended, end)
    if ended > began:
        yield began, ended
