"""What can go wrong, as one exception for each way that a caller can recover.

Invariant: a message names what failed, why, and what to do next, and never holds a secret.
"""

from __future__ import annotations

from typing import Any


class TapZohoBulkError(Exception):
    """Anything that the tap raises on purpose."""


class SignInError(TapZohoBulkError):
    """Zoho gives no access token. Nothing works until a person acts."""


class ZohoUnavailableError(TapZohoBulkError):
    """A request failed as often as `max_retries` allows, for reasons that may pass."""


class UnexpectedResponseError(ZohoUnavailableError):
    """Zoho answers, as often as it is asked, with something that holds not what was asked for."""


class ZohoRefusedError(TapZohoBulkError):
    """Zoho understood a request and refused it; the same request would be refused again.

    Args:
        what: The request in words, such as "create a bulk read job for Leads".
        status: HTTP status.
        code: Zoho's code, such as `INVALID_MODULE`; `HTTP_404` and the like where it sent none.
        message: Zoho's message.
        details: Zoho's details; `api_name` in them names a rejected field.
        advice: What the user can do.
    """

    def __init__(  # noqa: PLR0913
        self,
        what: str,
        *,
        status: int,
        code: str,
        message: str = "",
        details: dict[str, Any] | None = None,
        advice: str = "",
    ) -> None:
        self.what = what
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}
        parts = [f"Zoho refused to {what}: {code} (HTTP {status})"]
        if message:
            parts.append(f': "{message}"')
        if self.details:
            parts.append(f" {self.details}")
        parts.append(".")
        if advice:
            parts.append(f" {advice}")
        super().__init__("".join(parts))

    def with_advice(self, advice: str) -> ZohoRefusedError:
        """Give the same refusal with other advice.

        Args:
            advice: What the user can do.
        """
        return ZohoRefusedError(
            self.what,
            status=self.status,
            code=self.code,
            message=self.message,
            details=self.details,
            advice=advice,
        )


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
