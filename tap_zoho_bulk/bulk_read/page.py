"""The page: a completed job's result, on disk.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/download-result.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_zoho_bulk.bulk_read.archive import Archive

PAGE_RECORDS = 200_000
"""The maximum number of records that Zoho puts into one page."""


@dataclass(frozen=True)
class JobRef:
    """A job and the page that it was created for.

    Args:
        module: API name of the module.
        page: Number of the page, from 1.
        job_id: Zoho's id of the job.
    """

    module: str
    page: int
    job_id: str

    def __str__(self) -> str:
        """Return the name, for messages."""
        return f"{self.module}: page {self.page} (job {self.job_id})"


@dataclass(frozen=True)
class JobResult:
    """Zoho's description of a completed job's page.

    Args:
        count: Rows in the page.
        download_url: URL of its ZIP.
        more_records: Whether another page follows.
        next_page_token: Zoho's token for that page, if the API version has tokens.
    """

    count: int
    download_url: str
    more_records: bool
    next_page_token: str | None

    @classmethod
    def parse(cls, result: Any) -> JobResult | None:
        """Parse the `result` of a job's details; None if it is incomplete.

        Args:
            result: As parsed from JSON.
        """
        if not isinstance(result, dict):
            return None
        count, url = result.get("count"), result.get("download_url")
        more = result.get("more_records")  # Missing does not mean that there are none.
        token = result.get("next_page_token") or None
        if (
            not isinstance(count, int)
            or isinstance(count, bool)
            or count < 0
            or not isinstance(url, str)
            or not url
            or not isinstance(more, bool)
            or not (token is None or isinstance(token, str))
        ):
            return None
        return cls(count, url, more, token)


@dataclass(frozen=True)
class Page:
    """A downloaded page.

    Args:
        job: The job that exported it.
        result: Zoho's description of it.
        archive: The downloaded ZIP.
    """

    job: JobRef
    result: JobResult
    archive: Archive

    def __str__(self) -> str:
        """Return the name, for messages."""
        return str(self.job)

    def close(self) -> None:
        """Free the disk space."""
        self.archive.close()
