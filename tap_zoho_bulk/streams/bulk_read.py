"""What streams by bulk read share: pages out, and state that moves only past what went out whole.

Invariant: the bookmark moves when a chain's last page has been emitted, and never past the moment,
by Zoho's clock, when its first job was created. Until then STATE says how to go on.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_zoho_bulk.bulk_read.chain import Position
from tap_zoho_bulk.catalog.custom_views import find_custom_view
from tap_zoho_bulk.decode.csv_page import Chunk
from tap_zoho_bulk.emit.record_lines import ChunkWriter
from tap_zoho_bulk.exceptions import (
    CreditLimitReachedError,
    InvalidValueError,
    PageDamagedError,
    StoppedError,
    ZohoRefusedError,
)
from tap_zoho_bulk.reporting.page_progress import DecodingNews
from tap_zoho_bulk.streams.base import VERSION, VersionedStream

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.bulk_read.chain import Chain, ChainPage
    from tap_zoho_bulk.bulk_read.feeds import Feed
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery
    from tap_zoho_bulk.settings import ModuleOptions, Settings
    from tap_zoho_bulk.tap import TapZohoBulk

T = TypeVar("T")

PROGRESS = "bulk_read"
"""Where a stream's state keeps how to go on with a chain that is not at its end."""

_UNSUPPORTED_CODES = frozenset({"JOB_NOT_SUPPORTED", "MODULE_NOT_SUPPORTED"})


class BulkReadStream(VersionedStream):
    """A stream whose records come in the pages of a chain of bulk read jobs.

    Args:
        tap: The tap.
        name: Name of the stream.
        schema: JSON Schema of its records, which the stream makes just so.
    """

    def __init__(self, tap: TapZohoBulk, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, name=name, schema=schema)
        self.chunk_type = Chunk  # what `decode` had better give, for what becomes of it
        self._latest: str | None = None  # the greatest replication key value of the chain so far
        self._count: int | None = None  # rows of the chain's pages so far; None: nobody knows

    @abstractmethod
    def query(self, settings: Settings) -> BulkReadQuery:
        """Give what to ask Zoho for.

        Args:
            settings: The run's settings.

        Raises:
            UnreadableStreamError: When catalog or state ask for what cannot be.
        """

    def custom_view_id(self, module: str, options: ModuleOptions) -> str | None:
        """Give the id of the custom view that narrows a module, looked up if it is named.

        Args:
            module: API name of the module.
            options: What `module_options` says of it.

        Raises:
            UnreadableStreamError: When there is no such view.
            TapZohoBulkError: As `ZohoClient.get` does.
        """
        if options.custom_view is None:
            return options.custom_view_id
        tap = self.zoho_tap
        spending = tap.summary[self.name].spending
        return find_custom_view(tap.client, tap.settings, module, options.custom_view, spending)

    def look(self, query: BulkReadQuery) -> Callable[[], bool] | None:
        """Give what tells, on any thread, whether a query surely has nothing new to bring.

        Args:
            query: What is to be read.

        Returns:
            The function; None where the query's first job is to be made without a look.
        """
        del query
        return None

    def completed(self, query: BulkReadQuery, *, started: str) -> None:
        """Take note that a query has been read to its end, and all of it emitted.

        Args:
            query: What was read.
            started: When its first job was created, by Zoho's clock, in UTC form.
        """

    @abstractmethod
    def decode(self, page: ChainPage) -> Iterator[Chunk]:
        """Give a page's records.

        Args:
            page: As downloaded.

        Raises:
            InvalidValueError: When a value cannot be read.
            PageDamagedError: When the page turns out not to be whole; records may have been given.
        """

    # Where to go on

    def start(self, chain: Chain) -> Position:
        """Find where to begin: where an earlier run stopped, if it asked for the same.

        Args:
            chain: What this run reads.
        """
        progress = self.stream_state.get(PROGRESS)
        if progress is None:
            return Position()
        position = Position.from_state(progress)
        if position is None or progress.get("query") != chain.query.fingerprint:
            self.logger.warning(
                "An earlier run stopped in the middle, but %s since then; reading from page 1.",
                "the query has changed" if position else "the tap has changed",
            )
            return Position()
        self.logger.info("Going on where an earlier run stopped: page %d.", position.page)
        chain.recall(position, progress.get("ahead"))
        latest, version, count = (progress.get(key) for key in ("latest", VERSION, "count"))
        self._latest = latest if isinstance(latest, str) else None
        self._version = version if isinstance(version, int) else None
        self._count = count if isinstance(count, int) else None
        return position

    @property
    def is_removed(self) -> bool:
        """Whether stream maps take all its records away."""
        return all(isinstance(each, RemoveRecordTransform) for each in self.stream_maps)

    def note_progress(self, feed: Feed) -> None:
        """Put into the state what a later run needs to go on.

        Args:
            feed: The stream's.
        """
        position = feed.resume
        if position.page == 1 and position.job_id is None:
            self.stream_state.pop(PROGRESS, None)  # There is nothing to go on from.
            return
        progress = {
            "query": feed.chain.query.fingerprint,
            **position.to_state(),
            "ahead": feed.chain.ahead(position) or None,
            "latest": self._latest,
            VERSION: self._version,
            "count": self._count,
        }
        self.stream_state[PROGRESS] = {
            key: value for key, value in progress.items() if value is not None
        }

    # Records out

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write records many at a time, where the SDK would do nothing to them one by one."""
        if self.is_removed:
            self.logger.info("Stream maps remove all of its records, so none are read.")
            return
        writer = self._tap.message_writer
        if not (write_messages and self.is_plain() and isinstance(writer, ChunkWriter)):
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            for chunk in self._read(iter):
                writer.write_chunk(self.name, chunk, self._stream_version)
                counter.increment(len(chunk))
        self._write_state_message()

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        return self._read(chain.from_iterable)

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        files = self.batch_files(batch_config)
        self.chunk_type = files.chunk_type
        return ((batch_config.encoding, manifest) for manifest in self._read(files.write))

    def _read(self, emit: Callable[[Iterator[Chunk]], Iterator[T]]) -> Iterator[T]:
        """Emit all pages; forget how to go on where that would meet the same trouble again."""
        summary = self.zoho_tap.summary[self.name]
        with self.failing_alone():
            try:
                with self.zoho_tap.feed(self.name) as feed:
                    yield from self._emit_pages(feed, emit)
            except CreditLimitReachedError as error:
                self.logger.warning("%s It goes on from here next time.", error)
                summary.outcome = "credit limit"
            except ZohoRefusedError as error:
                self._forget_progress()
                if error.code not in _UNSUPPORTED_CODES:
                    raise
                self.logger.warning("Bulk read does not support this module (%s).", error.code)
                summary.outcome = "not supported"
            except InvalidValueError:
                self._forget_progress()  # The value is mended in Zoho, not in what it exported.
                raise

    def _emit_pages(
        self, feed: Feed, emit: Callable[[Iterator[Chunk]], Iterator[T]]
    ) -> Iterator[T]:
        last: ChainPage | None = None
        while (page := feed.next_page(self._write_state_message)) is not None:
            if page.position.page == 1:
                self._count = 0
            self._set_version(page.position)
            self._write_state_message()  # A crash from here on is not to cost the page's job again.
            news = DecodingNews(self.name, page.page)
            try:
                yield from emit(self._noted(news.of(self.decode(page))))
            except PageDamagedError as damage:
                feed.repeat(page, damage)
                continue
            news.ended()
            feed.emitted(page)
            if self._count is not None:
                self._count += page.page.result.count
            last = page
            if page.following is not None:
                self._write_state_message()
        if last is None:
            self.logger.info("Nothing has changed, so no job was made.")
            self.zoho_tap.summary[self.name].outcome = "unchanged"
        else:
            self._finish(last.position)
            self.completed(feed.chain.query, started=last.position.started or "")

    def _noted(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Pass records on; count them, keep the greatest replication key, and stop when told."""
        key = self.replication_key if self.replication_method == REPLICATION_INCREMENTAL else None
        stop = self.zoho_tap.client.stop
        summary = self.zoho_tap.summary[self.name]
        for chunk in chunks:
            if stop.is_set():
                raise StoppedError
            if key is not None:
                values = (self._latest, chunk.greatest(key))
                self._latest = max(filter(None, values), default=None)
            summary.records += len(chunk)
            yield chunk

    # State

    def _finish(self, position: Position) -> None:
        """Move the bookmark: every page of the chain has been emitted whole."""
        state = self.stream_state
        if self.replication_method == REPLICATION_INCREMENTAL and self._latest is not None:
            # In one UTC form, instants compare as text. A chain that was read had a first job.
            reached = min(self._latest, position.started or "")
            state["replication_key_value"] = max(self.bookmark(self.stream_state) or "", reached)
            state["replication_key"] = self.replication_key
        else:
            self._activate_version()
        self._forget_progress()

    def _forget_progress(self) -> None:
        self.zoho_tap.drop_feed(self.name)
        self.stream_state.pop(PROGRESS, None)

    def _set_version(self, position: Position) -> None:
        """Give a page's records their version: a new one from the first page on."""
        if position.page == 1:
            self._begin_version()
        self._stream_version = self._version

    @override
    def _write_state_message(self) -> None:
        self.zoho_tap.note_progress()
        self._tap.state_writer.write_state(self.tap_state)  # It writes only what has changed.
