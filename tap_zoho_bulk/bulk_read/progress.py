"""The progress: all that a stream needs to resume its chain, as one value.

Invariant: a run that resumes from it loses nothing that was not emitted, and pays for no job again
that Zoho still keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.position import Position

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 2
"""Version of what STATE keeps. Format 1 did not say so, and is otherwise the same."""

_AHEAD = frozenset({"page", "page_token", "job_id"})
"""What STATE keeps of a later page's job. The rest is that of the page to resume from."""


@dataclass(frozen=True)
class Progress:
    """Where a stream stands in its chain.

    Args:
        query: Fingerprint of the query that the chain reads.
        position: The page to emit next.
        ahead: Jobs that were created for later pages.
        latest: Greatest value of the replication key that was emitted, in UTC form, if any.
        version: Version of the full table, if it has one.
        count: Records of the pages that were emitted; None if unknown.
    """

    query: str
    position: Position = field(default_factory=Position)
    ahead: tuple[Position, ...] = ()
    latest: str | None = None
    version: int | None = None
    count: int | None = None

    @property
    def reached(self) -> str | None:
        """The instant up to which everything was emitted once the last page was, in UTC form.

        It never passes the creation of the first job: what changed later may be missing.
        """
        if self.latest is None or self.position.started is None:
            return None
        return min(self.latest, self.position.started)  # In UTC form, instants compare as text.

    def begin(self, version: int | None) -> Progress:
        """Return the progress at the first page.

        Args:
            version: Version of the full table, if it has one.
        """
        return replace(self, version=version, count=0)

    def at(self, position: Position) -> Progress:
        """Return the progress when a page is about to be emitted.

        Args:
            position: Of the page.
        """
        return replace(self, position=position)

    def after_records(self, latest: str | None) -> Progress:
        """Return the progress after some records of a page.

        Args:
            latest: Greatest value of their replication key, if they have one.
        """
        if latest is None or (self.latest is not None and latest <= self.latest):
            return self
        return replace(self, latest=latest)

    def after_page(self, following: Position | None, records: int) -> Progress:
        """Return the progress after a page that was emitted completely.

        Args:
            following: Position of the next page; None after the last one.
            records: Records of the page.
        """
        count = None if self.count is None else self.count + records
        return replace(self, position=following or self.position, count=count)

    @property
    def jobs(self) -> tuple[Position, ...]:
        """The positions of the jobs that were created for this and later pages."""
        return (self.position, *self.ahead) if self.position.job_id else self.ahead

    def with_jobs(self, jobs: Iterable[Position]) -> Progress:
        """Return the progress with the jobs of this and later pages, and no others.

        A chain that restarted may be ahead of the pages of the one before, which are still being
        emitted. Its jobs are left out: they are of pages that begin at another first page.

        Args:
            jobs: Positions of the chain's jobs that are still of use.
        """
        position = self.position
        found = {(job.page, job.page_token): job for job in jobs}
        current = found.get((position.page, position.page_token))
        if current is None or (position.page > 1 and current.started != position.started):
            current = replace(position, job_id=None)
        ahead = (
            job
            for job in found.values()
            if job.page > current.page and job.started == current.started
        )
        return replace(self, position=current, ahead=tuple(ahead))

    def to_state(self) -> dict[str, Any] | None:
        """Return what STATE keeps; None if there is nothing to resume from."""
        position = self.position
        if position.page == 1 and position.job_id is None:
            return None
        kept = {
            "format": FORMAT,
            "query": self.query,
            **position.to_state(),
            "ahead": [
                {key: value for key, value in job.to_state().items() if key in _AHEAD}
                for job in self.ahead
            ]
            or None,
            "latest": self.latest,
            "version": self.version,
            "count": self.count,
        }
        return {key: value for key, value in kept.items() if value is not None}

    @classmethod
    def from_state(cls, state: Any) -> Progress | None:
        """Parse a progress from STATE.

        Args:
            state: As `to_state` returned it, this version's or the one before, or anything else.

        Returns:
            The progress; None if a chain cannot resume from it.
        """
        position = Position.from_state(state)
        if position is None or state.get("format", 1) not in (1, FORMAT):
            return None
        query, latest, version, count = (
            state.get(key) for key in ("query", "latest", "version", "count")
        )
        return cls(
            query if isinstance(query, str) else "",
            position,
            _ahead(position, state.get("ahead")),
            latest if isinstance(latest, str) else None,
            version if isinstance(version, int) else None,
            count if isinstance(count, int) else None,
        )


def _ahead(position: Position, state: Any) -> tuple[Position, ...]:
    """Parse the jobs of later pages, without what is not one."""
    shared = {**position.to_state(), "page_token": None, "job_id": None}
    jobs = (
        Position.from_state({**shared, **each})
        for each in (state if isinstance(state, list) else ())
        if isinstance(each, dict)
    )
    return tuple(job for job in jobs if job and job.job_id and job.page > position.page)
