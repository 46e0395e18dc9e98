"""A page's progress: its wait for disk space, its download and its decoding, as events.

A wait's beginning is logged for users, and the end of a download and of decoding. The beginning of
these two and their progress are for debugging and for the live view, throttled.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from tap_zoho_bulk.reporting.events import Throttle, event, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sized

    from tap_zoho_bulk.reporting.events import Kind
    from tap_zoho_bulk.reporting.spending import Spending

    C = TypeVar("C", bound=Sized)

logger = logging.getLogger("tap-zoho-bulk.page")


def log_wait_for_space(module: str, number: int, job_id: str, spending: Spending) -> None:
    """Log that a page's download waits until the target has taken other pages.

    Args:
        module: API name of the module, for messages.
        number: The page's number, from 1.
        job_id: The job whose result the page is.
        spending: The stream's cost so far.
    """
    logger.info(
        "%s: page %d waits for disk space: pages that the target has not taken yet use up "
        "`max_spool_bytes`.",
        module,
        number,
        extra=event("space_waited_for", spending.stream, page=number, job_id=job_id),
    )


class DownloadProgress:
    """Logs a page's download.

    Args:
        module: API name of the module, for messages.
        number: The page's number, from 1.
        job_id: The job whose result the page is.
        spending: The stream's cost so far.
    """

    def __init__(self, module: str, number: int, job_id: str, spending: Spending) -> None:
        self._page = module, number
        self._about: dict[str, Any] = {"page": number, "job_id": job_id}
        self._spending = spending
        self._began = time.monotonic()
        self._throttle = Throttle()

    def received(self, size: int, total: int | None) -> None:
        """Log the bytes received so far.

        Args:
            size: Bytes received; 0 at the beginning of each attempt.
            total: Bytes in total; None if unknown.
        """
        stream = self._spending.stream
        if size == 0:
            self._began = time.monotonic()
            about = event("download_began", stream, **self._about, total=total)
            steps.debug("%s: downloading page %d.", *self._page, extra=about)
        elif self._throttle.is_due():
            about = event("download_progress", stream, **self._about, bytes=size, total=total)
            steps.debug("%s: downloading page %d, %d bytes so far.", *self._page, size, extra=about)

    def ended(self, size: int) -> None:
        """Log that the download is complete.

        Args:
            size: Bytes received.
        """
        seconds = time.monotonic() - self._began
        about = event(
            "download_ended",
            self._spending.stream,
            **self._about,
            bytes=size,
            seconds=round(seconds, 3),
            credits=self._spending.credits,
        )
        logger.info(
            "%s: page %d downloaded, %s bytes in %.1f s.",
            *self._page,
            f"{size:,}",
            seconds,
            extra=about,
        )


class DecodeProgress:
    """Logs the decoding of a page, and how much of the time the target blocked it.

    Args:
        stream: Name of the stream.
        number: The page's number, from 1.
        job_id: The job whose result the page is.
        expected: Number of records of the page.
        seconds_writing: Returns how long the run has been writing to the target so far.
    """

    def __init__(
        self,
        stream: str,
        number: int,
        job_id: str,
        *,
        expected: int,
        seconds_writing: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._number = number
        self._about: dict[str, Any] = {"page": number, "job_id": job_id}
        self._expected = expected
        self._records = 0
        self._began = time.monotonic()
        self._seconds_writing = seconds_writing
        self._written_before = seconds_writing()

    def of(self, chunks: Iterator[C]) -> Iterator[C]:
        """Yield a page's chunks unchanged, and log the number of records so far.

        Args:
            chunks: The page's records.
        """
        throttle = Throttle()
        about = event("decode_began", self._stream, **self._about, records=self._expected)
        steps.debug("%s: decoding page %d.", self._stream, self._number, extra=about)
        for chunk in chunks:
            yield chunk
            self._records += len(chunk)
            if throttle.is_due():
                steps.debug(
                    "%s: decoding page %d, %d of %d records so far.",
                    self._stream,
                    self._number,
                    self._records,
                    self._expected,
                    extra=self._event("decode_progress"),
                )

    def ended(self) -> None:
        """Log that all records of the page were emitted."""
        seconds = time.monotonic() - self._began
        logger.info(
            "%s: page %d emitted, %s records in %.1f s.",
            self._stream,
            self._number,
            f"{self._records:,}",
            seconds,
            extra=self._event("decode_ended", seconds=round(seconds, 3)),
        )

    def _event(self, kind: Kind, **fields: Any) -> dict[str, Any]:
        blocked = round(self._seconds_writing() - self._written_before, 3)
        return event(
            kind, self._stream, **self._about, records=self._records, blocked=blocked, **fields
        )
