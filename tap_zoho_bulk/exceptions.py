"""What can go wrong, as one exception for each way that a caller can recover.

Invariant: a message names what failed, why, and what to do next, and never holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class TapZohoBulkError(Exception):
    """Anything that the tap raises on purpose."""


class SignInError(TapZohoBulkError):
    """Zoho gives no access token. Nothing works until a person acts."""


class ZohoUnavailableError(TapZohoBulkError):
    """A request failed as often as `max_retries` allows, for reasons that may pass."""


class UnexpectedResponseError(ZohoUnavailableError):
    """Zoho answers, as often as it is asked, with something that holds not what was asked for."""


@dataclass(frozen=True)
class Problem:
    """What Zoho reports about a request that it refuses.

    Args:
        status: HTTP status.
        code: Zoho's code, such as `INVALID_MODULE`; `HTTP_404` and the like if it sent none.
        message: Zoho's message.
        details: Zoho's details; `api_name` in them names a rejected field.
    """

    status: int
    code: str
    message: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        text = f"{self.code} (HTTP {self.status})"
        if self.message:
            text += f': "{self.message}"'
        if self.details:
            text += f" {self.details}"
        return text


class ZohoRefusedError(TapZohoBulkError):
    """Zoho understood a request and refused it; the same request would be refused again.

    Args:
        what: The request in words, such as "create a bulk read job for Leads".
        problem: What Zoho reports.
        advice: What the user can do.
    """

    def __init__(self, what: str, problem: Problem, *, advice: str = "") -> None:
        self.what = what
        self.problem = problem
        text = f"Zoho refused to {what}: {problem}."
        super().__init__(f"{text} {advice}" if advice else text)

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """Zoho's code."""
        return self.problem.code

    def with_advice(self, advice: str) -> ZohoRefusedError:
        """Return the same refusal with other advice.

        Args:
            advice: What the user can do.
        """
        return ZohoRefusedError(self.what, self.problem, advice=advice)


class MissingScopeError(ZohoRefusedError):
    """The refresh token was made without a scope that the request needs."""


class UnreadableStreamError(TapZohoBulkError):
    """The catalog or the state asks of a stream what cannot be."""


class BatchConfigError(TapZohoBulkError):
    """BATCH files cannot be written as `batch_config` asks."""


class JobFailedError(TapZohoBulkError):
    """A bulk read job ended in FAILURE, took too long, or lost its result; a new job may do."""


class PageDamagedError(TapZohoBulkError):
    """A page is not whole (rule 3 of "Rules that keep data whole"); another download may be."""


class SpoolError(TapZohoBulkError):
    """A page cannot be written to disk. Nothing can be read until a person acts."""


class InvalidValueError(TapZohoBulkError):
    """A cell does not parse as its field's type, and `on_invalid_value` is `error`."""


class RepeatedPageError(TapZohoBulkError):
    """A list repeats a page, so it would never end."""


class CreditLimitReachedError(TapZohoBulkError):
    """The next job would take the run past `api_credit_limit`; a later run goes on from here."""


class StoppedError(BaseException):
    """The run is shutting down. Interrupts every wait; like SystemExit, it is not a failure."""

    def __init__(self) -> None:
        super().__init__("The tap was told to stop.")
        self.signum: int | None = None


class TargetGoneError(TapZohoBulkError):
    """The target reads no more. It says why itself, and nothing more can be written to it."""


class StreamsFailedError(TapZohoBulkError):
    """Some streams failed; the others were synced. Raised at the end of a run."""
