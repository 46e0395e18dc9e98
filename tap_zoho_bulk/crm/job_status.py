"""The status of a bulk job, which Zoho spells in several ways."""

from __future__ import annotations

from enum import Enum
from typing import Any


class JobStatus(Enum):
    """A job's status, as far as the tap distinguishes them.

    Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/job-details.html
    """

    WAITING = "WAITING"
    """Not started: ADDED, QUEUED, or a status that Zoho does not document."""
    IN_PROGRESS = "INPROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.SKIPPED}

    @classmethod
    def parse(cls, state: Any) -> JobStatus:
        """Parse the state of a job in Zoho's response.

        Args:
            state: Such as `IN PROGRESS`, which Zoho also spells `INPROGRESS`; or anything else.
        """
        text = str(state).upper().replace(" ", "").replace("_", "")
        if text == "FAILURE":
            return cls.FAILED
        return next((status for status in cls if status.value == text), cls.WAITING)
