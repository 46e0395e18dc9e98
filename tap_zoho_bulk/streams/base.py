"""What all streams share: bookmarks are moved by the stream, and its failures stay its own.

Invariant: the SDK moves no bookmark, and drops no old row of a full table. It would do so with
every record, and before the first one: before anybody knows whether the records came whole.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import contextmanager
from copy import deepcopy
from datetime import timezone
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers._batch import BatchConfig
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_zoho_bulk.bulk_read.page import PAGE_RECORDS
from tap_zoho_bulk.decode.csv_page import Chunk
from tap_zoho_bulk.emit.batch_files import BatchFiles
from tap_zoho_bulk.exceptions import (
    BatchConfigError,
    SignInError,
    StoppedError,
    UnreadableStreamError,
)
from tap_zoho_bulk.settings import parse_instant

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.tap import TapZohoBulk

VERSION = "version"
"""Where a full table's state keeps its last version, so that the next one is greater."""

_CHUNK_RECORDS = 500


class ZohoStream(Stream):
    """A stream of this tap.

    Args:
        tap: The tap.
        name: Name of the stream.
        schema: JSON Schema of its records, which the stream makes just so.
    """

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: TapZohoBulk, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.zoho_tap = tap

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Let what goes wrong inside end this stream only; the run ends non-zero later."""
        summary = self.zoho_tap.summary
        summary.begin(self.name)
        try:
            yield
        except (BrokenPipeError, SignInError, StoppedError):
            summary[self.name].outcome = "stopped"
            raise  # They are no stream's own.
        except Exception as error:  # noqa: BLE001 - the tap raises it when the others are done
            self.zoho_tap.stream_failed(self.name, error)
        finally:
            summary.end(self.name)

    @override  # type: ignore[misc]  # nothing else sees the end of all its partitions
    def sync(self, context: Context | None = None) -> None:
        try:
            super().sync(context)
        finally:
            self.zoho_tap.summary.tell(self.name)

    def bookmark(self, state: dict[str, Any]) -> str | None:
        """Read a bookmark.

        Args:
            state: Of the stream, or of a part of it.

        Returns:
            The instant in UTC form; None where there is none for the replication key.

        Raises:
            UnreadableStreamError: When it is no date-time.
        """
        if state.get("replication_key") != self.replication_key:
            return None
        value = state.get("replication_key_value")
        if not value:
            return None
        try:
            return parse_instant(value).astimezone(timezone.utc).isoformat()
        except (TypeError, ValueError) as error:
            raise UnreadableStreamError(
                f"{self.name}: the state's bookmark, {value!r}, is no date-time. Mend it, or take "
                "it out to read everything."
            ) from error

    # BATCH

    def is_plain(self) -> bool:
        """Say whether records go out as they are: no map, no flattening, no limit on them."""
        return (
            self.ABORT_AT_RECORD_COUNT is None
            and len(self.stream_maps) == 1
            and type(self.stream_maps[0]) is SameRecordTransform
            and self.stream_maps[0].stream_alias == self.name
            and not self.stream_maps[0].flattening_enabled
        )

    def batch_files(self, batch_config: BatchConfig) -> BatchFiles:
        """Give what writes the stream's files.

        Args:
            batch_config: As the SDK has it.

        Raises:
            BatchConfigError: When such files cannot be written.
        """
        if not self.is_plain():
            raise BatchConfigError(
                f"{self.name}: BATCH files hold records as they come from Zoho. Take "
                "`batch_config` out of the settings, or stream maps and flattening."
            )
        return BatchFiles(self.name, self.effective_schema, batch_config)

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        """Let a file hold a page, unless `batch_size` tells otherwise."""
        settings = config.get("batch_config")
        return BatchConfig.from_dict({"batch_size": PAGE_RECORDS, **settings}) if settings else None

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        files = self.batch_files(batch_config)
        names = [
            name
            for name in self.effective_schema["properties"]
            if self.mask["properties", name] or name in self.primary_keys
        ]
        records = iter(self._sync_records(context, write_messages=False))
        with self.failing_alone():
            for record in records:
                # One file at a time: the STATE after it knows of no record that is not in it.
                of_file = chain([record], islice(records, files.size - 1))
                with self._moving_when_whole():
                    for manifest in files.write(_chunks(of_file, names)):
                        yield batch_config.encoding, manifest

    @contextmanager
    def _moving_when_whole(self) -> Iterator[None]:
        """Put the stream's state back if what is inside, such as a file, does not become whole.

        Bookmarks move as records are read, and a run that ends writes STATE once more.
        """
        before = deepcopy(self.stream_state)
        try:
            yield
        except BaseException:
            self.stream_state.clear()
            self.stream_state.update(before)
            raise

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the SDK's starting marker out of STATE."""

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Context | None = None
    ) -> None:
        """Leave the bookmark where it is."""

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Give none: the local clock says nothing about Zoho's."""


def _chunks(records: Iterator[dict[str, Any]], names: Sequence[str]) -> Iterator[Chunk]:
    while taken := list(islice(records, _CHUNK_RECORDS)):
        yield Chunk({name: [record.get(name) for record in taken] for name in names})


class VersionedStream(ZohoStream):
    """A stream whose full table takes the old one's place when its last row has been emitted.

    Args:
        tap: The tap.
        name: Name of the stream.
        schema: JSON Schema of its records, which the stream makes just so.
    """

    def __init__(self, tap: TapZohoBulk, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, name=name, schema=schema)
        self._version: int | None = None  # of a full table; the SDK sets `_stream_version` early

    def _begin_version(self) -> None:
        """Give the rows from here on a version of their own, if this run is to have versions."""
        if self.replication_method == REPLICATION_FULL_TABLE and (
            self.emit_activate_version_messages
        ):
            # In seconds, as the SDK has it: its targets' columns may hold 32 bits only.
            last = self._version or self.stream_state.get(VERSION)
            following = last + 1 if isinstance(last, int) else 0
            self._version = max(int(time.time()), following)
        self._stream_version = self._version

    def _activate_version(self) -> None:
        """Let targets drop the rows of other versions: those of this one have all been emitted."""
        if self._version is not None:
            super()._write_activate_version_message(self._version)
            self.stream_state[VERSION] = self._version

    @override
    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Leave out the SDK's message before the first record: old rows go after the last one."""

    @override
    def _generate_batch_messages(
        self, encoding: BaseBatchFileEncoding, manifest: list[str]
    ) -> Generator[SDKBatchMessage, None, None]:
        """Name the version, too, as RECORD messages do."""
        for message in super()._generate_batch_messages(encoding, manifest):
            message.version = self._stream_version
            yield message


class FullTableStream(VersionedStream):
    """A stream that is read whole each time, row by row.

    Args:
        tap: The tap.
        name: Name of the stream.
        schema: JSON Schema of its records, which the stream makes just so.
    """

    def __init__(self, tap: TapZohoBulk, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, name=name, schema=schema)
        self._is_whole = False

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """Give all records.

        Raises:
            TapZohoBulkError: When they cannot be had whole; some may have been given.
        """

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        with self.failing_alone():
            self._begin_version()
            summary = self.zoho_tap.summary[self.name]
            for row in self.rows():
                summary.records += 1
                yield row
            self._is_whole = True

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        yield from super()._sync_records(context, write_messages=write_messages)
        if write_messages:
            self._finish()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        super()._sync_batches(batch_config, context)
        self._finish()

    def _finish(self) -> None:
        if self._is_whole and self.name not in self.zoho_tap.summary.failures:
            self._activate_version()
            self._tap.state_writer.write_state(self.tap_state)  # It writes only what has changed.
