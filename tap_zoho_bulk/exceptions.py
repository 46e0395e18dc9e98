"""The errors of the tap: one class for each way in which a caller can recover.

    TapZohoBulkError                  any error that the tap raises deliberately
    ├── SettingsError                 fix the settings
    ├── SignInError                   fix the credentials
    │   └── TokenLimitError           run again later
    ├── ZohoUnavailableError          run again later
    │   ├── UnexpectedResponseError   likewise, or skip what was requested
    │   └── UnreachableError          fix the URL, the certificate or the proxy
    ├── ZohoRefusedError              change the request
    │   └── MissingScopeError         grant the scope, or skip what needs it
    ├── UnreadableStreamError         fix the catalog, the state or the settings
    ├── BatchConfigError              fix `batch_config`
    ├── JobFailedError                create the job again
    ├── PageDamagedError              download the page again, then create its job again
    ├── SpoolError                    free or fix the disk
    ├── InvalidValueError             fix the value in Zoho, or set `on_invalid_value` to `null`
    ├── RepeatedPageError             stop reading the list
    ├── CreditLimitReachedError       run again later
    ├── StreamsFailedError            see the errors of the streams
    └── NoEventsError                 give the report another log (in `reporting/run_log.py`)
    StoppedError                      no error: the run is shutting down
    └── TargetGoneError               see the target's log

Invariant: a message says what failed, why, and what to do next. It never contains a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExitCode(IntEnum):
    """How the process ends, for programs. Click adds 2, for a wrong command line."""

    FAILED = 1
    """Anything else, such as a bug."""
    STREAMS_FAILED = 3
    TRY_AGAIN_LATER = 75
    """EX_TEMPFAIL of `sysexits.h`."""
    FIX_FIRST = 78
    """EX_CONFIG of `sysexits.h`: a person must fix something."""


class TapZohoBulkError(Exception):
    """Any error that the tap raises deliberately."""

    exit_code = ExitCode.FIX_FIRST


class SettingsError(TapZohoBulkError):
    """Settings are missing or wrong."""


class SignInError(TapZohoBulkError):
    """Zoho refuses to issue an access token. The credentials must be fixed first."""


class TokenLimitError(SignInError):
    """Too many access tokens were requested, so Zoho issues none for some minutes."""

    exit_code = ExitCode.TRY_AGAIN_LATER


class ZohoUnavailableError(TapZohoBulkError):
    """A request failed with transient errors until `max_retries` was reached."""

    exit_code = ExitCode.TRY_AGAIN_LATER


class UnexpectedResponseError(ZohoUnavailableError):
    """Every retry returned a valid response without the requested data."""


class UnreachableError(ZohoUnavailableError):
    """No request can be sent to a host, however often it is tried."""

    exit_code = ExitCode.FIX_FIRST


@dataclass(frozen=True)
class Problem:
    """Zoho's description of why it refused a request.

    Args:
        status: HTTP status.
        code: Zoho's code, such as `INVALID_MODULE`; one such as `HTTP_404` if it sent none.
        message: Zoho's message.
        details: Zoho's details. Their `api_name` is a rejected field.
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
    """Zoho understood a request and refused it, and would refuse it again.

    Args:
        what: The request in words, such as "create a bulk read job for Leads".
        problem: Why Zoho refused it.
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
    """The token lacks a scope that the request needs."""


class UnreadableStreamError(TapZohoBulkError):
    """A stream cannot be read as the catalog, the state or the settings require."""


class BatchConfigError(TapZohoBulkError):
    """BATCH files cannot be written as `batch_config` requires."""


class JobFailedError(TapZohoBulkError):
    """A bulk read job failed, timed out, or lost its result. A new job may succeed."""

    exit_code = ExitCode.TRY_AGAIN_LATER


class PageDamagedError(TapZohoBulkError):
    """A page is incomplete or corrupt. Another download may be valid."""

    exit_code = ExitCode.TRY_AGAIN_LATER


class SpoolError(TapZohoBulkError):
    """A page cannot be written to disk. The disk must be fixed first."""


class InvalidValueError(TapZohoBulkError):
    """A cell does not parse as its field's type, and `on_invalid_value` is `error`."""


class RepeatedPageError(TapZohoBulkError):
    """A list repeats a page, so paging would never end."""

    exit_code = ExitCode.TRY_AGAIN_LATER


class CreditLimitReachedError(TapZohoBulkError):
    """The next job would exceed `api_credit_limit`. A later run continues."""

    exit_code = ExitCode.TRY_AGAIN_LATER


class StoppedError(BaseException):
    """The run is shutting down. Interrupts every wait; like SystemExit, it is not a failure."""

    outcome = "stopped"
    """How such a run ends, in its summary."""

    def __init__(self, message: str = "The run was stopped.") -> None:
        super().__init__(message)
        self.signum: int | None = None

    @property
    def exit_code(self) -> int:
        """As a shell reports a signal, if one stopped the run."""
        return ExitCode.FAILED if self.signum is None else 128 + self.signum


class TargetGoneError(StoppedError):
    """The target has closed the pipe, so no more output can be written. Its log says why."""

    outcome = "target gone"


class StreamsFailedError(TapZohoBulkError):
    """Some streams failed; the others were synced. Raised at the end of a run.

    Args:
        failures: The streams that failed, and why.
        selected: How many streams were selected.
    """

    def __init__(self, failures: Mapping[str, Exception], selected: int) -> None:
        super().__init__(
            f"{len(failures)} of {selected} streams failed; each has a line above that says why: "
            f"{', '.join(failures)}."
        )
        codes = {getattr(error, "exit_code", ExitCode.FAILED) for error in failures.values()}
        # If no stream was synced, and all failed alike, then the run failed like each of them.
        alike = len(failures) == selected and len(codes) == 1
        self.exit_code = codes.pop() if alike else ExitCode.STREAMS_FAILED
