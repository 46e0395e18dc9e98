"""The run: what the streams of one run share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.bulk_read.download import Downloader
from tap_zoho_bulk.bulk_read.spool import Spool
from tap_zoho_bulk.bulk_read.turns import ChainPool
from tap_zoho_bulk.exceptions import TapZohoBulkError
from tap_zoho_bulk.reporting.summary import Summary

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from tap_zoho_bulk.bulk_read.turns import FeedOpeners
    from tap_zoho_bulk.settings import Settings

logger = logging.getLogger("tap-zoho-bulk")


class Run:
    """What the streams of one run share: settings, Zoho's API, chains, the summary.

    Args:
        settings: The run's settings.
        modules: Returns the selected modules, in the order in which they sync.
        feed_openers: Returns what opens the feed of each selected stream by bulk read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        modules: Callable[[], Sequence[str]],
        feed_openers: Callable[[], FeedOpeners],
    ) -> None:
        self.settings = settings
        self.summary = Summary()
        self.client = ZohoClient(settings)
        self.downloader = Downloader(self.client, settings.spool_directory)
        self.spool = Spool(settings.max_spool_bytes, self.stop)
        self.chains = ChainPool(feed_openers, settings.max_concurrent_jobs, self.spool)
        self.modules = modules

    @property
    def stop(self) -> threading.Event:
        """Set when the run shuts down: every wait and request then raises StoppedError."""
        return self.client.stop

    def stream_failed(self, stream: str, error: Exception) -> None:
        """Record that a stream failed; the run continues unless `on_stream_error` is `abort`.

        Args:
            stream: Name of the stream.
            error: Why.
        """
        self.summary.failed(stream, error)
        if self.settings.on_stream_error == "abort":
            raise error
        logger.error(
            "%s failed; %s. %s",
            stream,
            "its records are complete, its deletes are not"
            if self.summary[stream].is_read
            else "its bookmark has not moved",
            error,
            exc_info=None if isinstance(error, TapZohoBulkError) else error,
        )

    def close(self) -> None:
        """End all worker threads, and free the disk space of pages."""
        self.client.close()
        self.chains.close()
