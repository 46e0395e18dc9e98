"""The download: a completed job's result, from Zoho to disk."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.bulk_read.archive import Archive
from tap_zoho_bulk.exceptions import JobFailedError, SpoolError, ZohoRefusedError
from tap_zoho_bulk.reporting.page_progress import DownloadProgress

if TYPE_CHECKING:
    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.bulk_read.page import JobRef
    from tap_zoho_bulk.reporting.spending import Spending

_GONE_CODES = frozenset({"RESOURCE_NOT_FOUND", "HTTP_404"})


class Downloader:
    """Downloads results to disk.

    Args:
        client: Zoho's API.
        directory: Folder for the files; the system's temporary folder if None.
    """

    def __init__(self, client: ZohoClient, directory: str | None) -> None:
        self._client = client
        self._directory = directory

    def download(self, job: JobRef, url: str, *, scope: str, spending: Spending) -> Archive:
        """Download a job's result.

        Args:
            job: Whose result it is.
            url: Zoho's `download_url`.
            scope: The OAuth scope that it needs; for messages.
            spending: Counts what it costs.

        Raises:
            JobFailedError: When Zoho no longer has the result.
            SpoolError: When it cannot be written.
            TapZohoBulkError: As `ZohoClient.download` does.
        """
        request = ApiRequest(
            url,
            what=f"download page {job.page} of {job.module} (job {job.job_id})",
            scope=scope,
            about={"stream": spending.stream, "page": job.page, "job_id": job.job_id},
        )
        try:
            file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        progress = DownloadProgress(job.module, job.page, job.job_id, spending)
        try:
            size = self._client.download(
                request, file, spending=spending, received=progress.received
            )
        except BaseException as error:
            file.close()
            if isinstance(error, ZohoRefusedError) and error.code in _GONE_CODES:
                raise JobFailedError(
                    f"{job.module}: the result of job {job.job_id} is gone; Zoho keeps it a day."
                ) from error
            if isinstance(error, OSError):
                raise _no_room(error) from error
            raise
        progress.ended(size)
        return Archive(str(job), file, size)


def _no_room(error: OSError) -> SpoolError:
    return SpoolError(
        f"A page cannot be written to disk ({error.strerror or type(error).__name__}). Check that "
        "the folder in `spool_directory`, by default the system's temporary folder, exists and has "
        "free space."
    )
