"""The position: one page of a chain, and how to request it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tap_zoho_bulk.crm.timestamps import utc_or_none


@dataclass(frozen=True)
class Position:
    """A page of a chain, before it is downloaded.

    Args:
        page: Its number, from 1.
        page_token: Zoho's token for the page, if there is one.
        job_id: The job that was created for the page, if one was.
        started: When the chain's first job was created, by the server's clock, in UTC form.
        rejected: Fields that Zoho refused, which the chain leaves out.
    """

    page: int = 1
    page_token: str | None = None
    job_id: str | None = None
    started: str | None = None
    rejected: tuple[str, ...] = ()

    def to_state(self) -> dict[str, Any]:
        """Return what STATE keeps of the position, without empty values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(self).items()
            if value
        }

    @classmethod
    def from_state(cls, state: Any) -> Position | None:
        """Parse a position from STATE.

        Args:
            state: As `to_state` returned it, or anything else.

        Returns:
            The position; None if a chain cannot resume from it.
        """
        if not isinstance(state, dict):
            return None
        page, started = state.get("page"), utc_or_none(state.get("started"))
        token, job_id = state.get("page_token"), state.get("job_id")
        rejected = state.get("rejected", [])
        if (
            not isinstance(page, int)
            or page < 1
            or started is None
            or not (token is None or isinstance(token, str))
            or not (job_id is None or isinstance(job_id, str))
            or not isinstance(rejected, list)
            or not all(isinstance(name, str) for name in rejected)
        ):
            return None
        return cls(page, token, job_id, started, tuple(rejected))
