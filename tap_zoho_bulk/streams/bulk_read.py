"""What streams by bulk read share: pages out, and state that moves only past complete pages.

Invariant: the bookmark moves when a chain's last page has been emitted, and never past the moment,
by Zoho's clock, when its first job was created. Until then STATE says how to resume.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_zoho_bulk.bulk_read.chain import Chain
from tap_zoho_bulk.bulk_read.feeds import PROGRESS, Feed
from tap_zoho_bulk.bulk_read.job import BulkReadJobs
from tap_zoho_bulk.bulk_read.page import PAGE_RECORDS
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.progress import Progress
from tap_zoho_bulk.crm.timestamps import utc_or_none
from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.emit.record_lines import ChunkWriter
from tap_zoho_bulk.exceptions import (
    CreditLimitReachedError,
    InvalidValueError,
    PageDamagedError,
    StoppedError,
    ZohoRefusedError,
)
from tap_zoho_bulk.reporting.events import event
from tap_zoho_bulk.reporting.page_progress import DecodeProgress
from tap_zoho_bulk.streams.full_table import VersionedStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.bulk_read.chain import ChainPage
    from tap_zoho_bulk.bulk_read.page import Page
    from tap_zoho_bulk.bulk_read.plan import ReadPlan
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery

logger = logging.getLogger("tap-zoho-bulk.bulk_read")

WAITING_SINCE = "waiting_since"
"""Key in a stream's state of when `api_credit_limit` first kept it from its next job."""

_UNSUPPORTED_CODES = frozenset({"JOB_NOT_SUPPORTED", "MODULE_NOT_SUPPORTED"})


class BulkReadStream(VersionedStream):
    """A stream whose records come in the pages of a chain of bulk read jobs."""

    _source: Callable[[type[Chunk]], Iterator[Chunk]] | None = None
    """Yields the records that are to be emitted now."""

    max_page_records = PAGE_RECORDS
    """The maximum number of records that Zoho puts into one page."""

    @property
    @override
    def least_credits(self) -> int:
        return 0

    @property
    def is_counted(self) -> bool:
        """Whether Zoho counts the records: it does not count the rows of subforms."""
        return True

    @abstractmethod
    def plan(self) -> ReadPlan:
        """Return what to read.

        Raises:
            UnreadableStreamError: When catalog or state require what is not possible.
        """

    def reads_all(self, query: BulkReadQuery) -> bool:
        """Return whether a query reads all records, so that targets can drop the others.

        Args:
            query: What is to be read.
        """
        del query
        return self.replication_method == REPLICATION_FULL_TABLE

    def unchanged_probe(self, query: BulkReadQuery) -> Callable[[], bool] | None:
        """Return a thread-safe check that is True if a query certainly has no new records.

        Args:
            query: What is to be read.

        Returns:
            The check; None if the query's first job is to be created without one.
        """
        del query
        return None

    def refused_fields(self, query: BulkReadQuery) -> tuple[str, ...]:
        """Return the fields that a new chain leaves out, since Zoho refused them before.

        Args:
            query: What is to be read.
        """
        del query
        return ()

    def completed(self, query: BulkReadQuery, progress: Progress) -> None:
        """Note that a query was read to its end, and all of it was emitted.

        Args:
            query: What was read.
            progress: At its end.
        """

    @abstractmethod
    def decode(
        self, page: Page, columns: Mapping[str, str], chunk_type: type[Chunk]
    ) -> Iterator[Chunk]:
        """Yield a page's records.

        Args:
            page: As downloaded.
            columns: Column of each property to emit, as the plan has it.
            chunk_type: The chunk class that the output format prefers.

        Raises:
            InvalidValueError: When a value does not parse.
            PageDamagedError: When the page is incomplete; records may have been yielded.
        """

    # Where to resume

    @property
    def waiting_since(self) -> str | None:
        """When earlier runs had no API credits left for the stream, in UTC form, if they had none.

        A run in which it had a job begins this time again.
        """
        return utc_or_none(self.stream_state.get(WAITING_SINCE))

    def open_feed(self) -> Feed:
        """Return the stream's pages from where an earlier run stopped, or from the first one.

        Raises:
            BatchConfigError: When files of records cannot be written.
            UnreadableStreamError: When catalog or state require what is not possible.
        """
        plan = self.plan()
        batch_config = self.get_batch_config(self.config)
        if batch_config is not None:
            self.batch_files(batch_config)  # Raises for wrong settings, before a job is created.
        progress = self._resumed(plan.query)
        run = self.run
        chain = Chain(
            plan.query,
            jobs=BulkReadJobs(run.client, run.downloader, run.settings, self.spending),
            created=progress.jobs,
            is_unchanged=self.unchanged_probe(plan.query),
        )
        return Feed(
            plan,
            chain,
            progress,
            state=self.stream_state,
            spool=run.spool,
            started=partial(run.summary.begin, self.name),
        )

    def _resumed(self, query: BulkReadQuery) -> Progress:
        """Return the progress that STATE holds, if it is of the same query; else a new one."""
        kept = self.stream_state.get(PROGRESS)
        progress = Progress.from_state(kept)
        if progress is not None and progress.query == query.fingerprint:
            page = progress.position.page
            logger.info(
                "%s: Resuming at page %d, where an earlier run stopped.",
                self.name,
                page,
                extra=event("chain_resumed", self.name, page=page),
            )
            return progress
        if kept is not None:
            reason = "query" if progress else "tap"
            logger.warning(
                "%s: An earlier run stopped in the middle, but the %s has changed since then. "
                "Reading from page 1.",
                self.name,
                reason,
                extra=event("chain_not_resumed", self.name, reason=reason),
            )
        return Progress(query.fingerprint, Position(rejected=self.refused_fields(query)))

    # Turns

    @override
    def take_turns(self) -> bool:
        if self.is_removed:
            return False
        chains = self.run.chains
        chains.start()
        has_ended = False
        while not has_ended:
            if chains.next_turn([self.name]) is None:
                self.write_state()
            else:
                has_ended = self.take_turn()
        return True

    def take_turn(self) -> bool:
        """Emit the next page, which is ready, or finish after the last one.

        Returns:
            Whether the stream has ended, in whatever way.

        Raises:
            StoppedError: When the run is shutting down.
            Exception: The stream's failure, if `on_stream_error` is `abort`.
        """
        continues = False
        try:
            with self.failing_alone(), self._progress_kept_if_of_use():
                self.begin()
                feed = self.run.chains.feed(self.name)
                page = feed.take()
                if page is None:
                    self.finish(feed)
                else:
                    self._emit(feed, page)
                    continues = True
        finally:
            if not continues:
                self.run.chains.close_feed(self.name)
        if not continues:
            self.write_state()
            self.synced()
        return not continues

    def interrupted(self) -> None:
        """Note that the run ends before the stream does."""
        if self.summary.began is not None:
            if self.name not in self.run.summary.failures:
                self.stopped()
            self.synced()

    def _emit(self, feed: Feed, page: ChainPage) -> None:
        """Emit a page; if it is damaged, have it read again."""
        if page.position.page == 1:
            version = feed.progress.version
            feed.begin(self.next_version(version) if self.reads_all(feed.plan.query) else version)
        self.record_version = feed.progress.version or self.current_version
        # Save the job id now, so that a crash while emitting does not pay for the job twice.
        self.write_state()
        try:
            self.emit_from(partial(self._page_chunks, feed, page))
        except PageDamagedError as damage:
            feed.retry(page, damage)
        else:
            feed.page_emitted(page)
        finally:
            page.page.close()
        self.write_state()

    def emit_from(self, source: Callable[[type[Chunk]], Iterator[Chunk]]) -> None:
        """Emit records.

        Args:
            source: Yields them; called with the chunk class that the output format prefers.

        Raises:
            StoppedError: When the run is shutting down; some may have been emitted.
        """
        self._source = source
        try:
            self.emit()
        finally:
            self._source = None

    def _chunks(self, chunk_type: type[Chunk] = Chunk) -> Iterator[Chunk]:
        """Yield the records that are to be emitted now."""
        if self._source is None:
            return
        for chunk in self._source(chunk_type):
            if self.run.stop.is_set():
                raise StoppedError
            self.summary.records += len(chunk)
            yield chunk

    def _page_chunks(self, feed: Feed, page: ChainPage, chunk_type: type[Chunk]) -> Iterator[Chunk]:
        """Yield the records of a page, and note them in the progress."""
        job = page.page.job
        progress = DecodeProgress(
            self.name,
            job.page,
            job.job_id,
            expected=page.page.result.count,
            seconds_writing=self._seconds_writing,
        )
        columns = feed.plan.columns_at(page.position)
        key = self.replication_key if self.replication_method == REPLICATION_INCREMENTAL else None
        for chunk in progress.of(self.decode(page.page, columns, chunk_type)):
            if key is not None:
                feed.records_emitted(chunk.maximum(key))
            yield chunk
        progress.ended()

    def _seconds_writing(self) -> float:
        writer = self._tap.message_writer
        return writer.seconds_writing if isinstance(writer, ChunkWriter) else 0.0

    # Records out

    @override
    def write_all_records(self) -> bool:
        """Write records many at a time, if the SDK would do nothing to each."""
        if self.is_removed:
            self.logger.info("Stream maps remove all of its records, so none are read.")
            return True
        writer = self._tap.message_writer
        if not (self.is_plain() and isinstance(writer, ChunkWriter)):
            return False
        with self.get_record_counter() as counter, self.get_sync_timer():
            for chunk in self._chunks():
                writer.write_chunk(self.name, chunk, self.record_version)
                counter.increment(len(chunk))
        return True

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        return chain.from_iterable(self._chunks())

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        files = self.batch_files(batch_config)
        manifests = files.write(self._chunks(files.chunk_type))
        return ((batch_config.encoding, manifest) for manifest in manifests)

    @contextmanager
    def _progress_kept_if_of_use(self) -> Iterator[None]:
        """Clear the resume state if resuming would hit the same error."""
        try:
            yield
        except CreditLimitReachedError:
            if self.spending.jobs or self.waiting_since is None:
                now = datetime.now(timezone.utc)
                self.stream_state[WAITING_SINCE] = now.isoformat()
            raise
        except ZohoRefusedError as error:
            self._forget_progress()
            if error.code not in _UNSUPPORTED_CODES:
                raise
            self.logger.warning("Bulk read does not support this module (%s).", error.code)
            self.summary.outcome = "not supported"
        except InvalidValueError:
            # Fixing the value in Zoho does not change this export, so start a new one.
            self._forget_progress()
            raise

    # State

    def finish(self, feed: Feed) -> None:
        """Move the bookmark: every page of the chain was emitted completely.

        Args:
            feed: Which has ended.
        """
        progress, state = feed.completed, self.stream_state
        state.pop(WAITING_SINCE, None)
        if progress is None:
            self.logger.info("Nothing has changed, so no job was created.")
            self.summary.outcome = "unchanged"
            return
        if self.replication_method == REPLICATION_INCREMENTAL and progress.reached is not None:
            # In UTC form, instants compare as text.
            bookmark = self.bookmark(state) or ""
            state["replication_key_value"] = max(bookmark, progress.reached)
            state["replication_key"] = self.replication_key
        self.finish_version(progress.version)
        self._forget_progress()
        self.summary.is_read = True
        self.completed(feed.plan.query, progress)

    def _forget_progress(self) -> None:
        self.run.chains.drop(self.name)
        self.stream_state.pop(PROGRESS, None)
