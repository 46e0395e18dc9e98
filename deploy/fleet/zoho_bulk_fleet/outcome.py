"""How runs end, for schedulers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

_STREAMS_FAILED = 3
_TRY_AGAIN_LATER = 75
_FIX_FIRST = 78


class Outcome(str, Enum):
    """How a run ended."""

    OK = "ok"
    INCOMPLETE = "incomplete"
    """The limit of API credits ended it. The next run continues."""
    STREAMS_FAILED = "some streams failed"
    TRY_AGAIN_LATER = "try again later"
    FIX_FIRST = "fix first"
    """A person must fix something. Another run would fail alike."""
    FAILED = "failed"
    """Anything else, such as a loader that failed."""
    HELD = "held"
    """Another run of the organisation is under way, so this one did nothing."""
    LEASE_LOST = "lease lost"
    """Storage could not be reached in time, or the process was paused for too long."""
    STOPPED = "stopped"
    """A signal or the time limit ended it. The next run continues."""

    @property
    def exit_code(self) -> int:
        """The exit code of a process that ends so, as the tap documents them."""
        return {
            Outcome.OK: 0,
            Outcome.INCOMPLETE: 0,
            Outcome.STREAMS_FAILED: _STREAMS_FAILED,
            Outcome.FIX_FIRST: _FIX_FIRST,
            Outcome.FAILED: 1,
        }.get(self, _TRY_AGAIN_LATER)

    @classmethod
    def of_tap(cls, exit_code: int, *, incomplete: bool) -> Outcome:
        """Return how a run ended in which the loader did not fail.

        Args:
            exit_code: The tap's; negative if a signal killed it.
            incomplete: Whether the limit of API credits ended a stream.
        """
        if exit_code == 0:
            return cls.INCOMPLETE if incomplete else cls.OK
        return {
            _STREAMS_FAILED: cls.STREAMS_FAILED,
            _TRY_AGAIN_LATER: cls.TRY_AGAIN_LATER,
            _FIX_FIRST: cls.FIX_FIRST,
        }.get(exit_code, cls.FAILED)


@dataclass(frozen=True)
class Result:
    """The end of a run.

    Args:
        outcome: How it ended.
        message: Why, in one line; "" if it succeeded.
        retry_after_seconds: How long Zoho, or the lease, asks to wait before the next run.
        figures: What the run leaves in storage, in `figures.py`.
    """

    outcome: Outcome
    message: str
    retry_after_seconds: float | None
    figures: dict[str, Any]
