"""What all streams share: bookmarks, BATCH files, and failures that stay the stream's own."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from copy import deepcopy
from datetime import timezone
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import AbortedSyncExceptionBase
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from typing_extensions import override

from tap_zoho_bulk.bulk_read.page import PAGE_RECORDS
from tap_zoho_bulk.crm.timestamps import parse_instant
from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.decode.invalid_values import InvalidValues
from tap_zoho_bulk.emit.batch_files import BatchFiles
from tap_zoho_bulk.exceptions import (
    BatchConfigError,
    CreditLimitReachedError,
    SignInError,
    StoppedError,
    UnreadableStreamError,
)
from tap_zoho_bulk.reporting.summary import CREDIT_LIMIT
from tap_zoho_bulk.sdk_overrides import StreamOverrides

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from singer_sdk import Tap
    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.reporting.spending import Spending
    from tap_zoho_bulk.reporting.summary import StreamSummary
    from tap_zoho_bulk.run import Run

_CHUNK_RECORDS = 500

logger = logging.getLogger("tap-zoho-bulk.streams")


class ZohoStream(StreamOverrides):
    """A stream of this tap.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
        name: Name of the stream.
        schema: JSON Schema of its records, which the stream makes just so.
    """

    def __init__(self, tap: Tap, run: Run, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.run = run
        self.invalid_values = InvalidValues(become_null=run.settings.on_invalid_value == "null")

    @property
    def summary(self) -> StreamSummary:
        """What the stream brought and cost so far."""
        return self.run.summary[self.name]

    @property
    def spending(self) -> Spending:
        """What the stream cost so far."""
        return self.summary.spending

    @property
    def is_removed(self) -> bool:
        """Whether stream maps remove all its records."""
        return all(isinstance(each, RemoveRecordTransform) for each in self.stream_maps)

    @property
    def least_credits(self) -> int:
        """API credits that a sync costs at least, apart from bulk read jobs and their pages."""
        return 1

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Turn any error in this block into a failure of this stream only.

        The run still exits non-zero.
        """
        self.run.summary.begin(self.name)
        try:
            yield
        except (AbortedSyncExceptionBase, SignInError, StoppedError):
            self.stopped()
            raise  # These are not the stream's own.
        except CreditLimitReachedError as error:
            if self.summary.outcome == "ok":
                logger.warning("%s: %s The next run continues here.", self.name, error)
                self.summary.outcome = CREDIT_LIMIT
        except Exception as error:  # noqa: BLE001 - raised when the other streams are done
            self.run.stream_failed(self.name, error)
        finally:
            self.summary.invalid_values = self.invalid_values.count
            self.run.summary.end(self.name)

    @override
    def stopped(self) -> None:
        self.summary.outcome = StoppedError.outcome

    @override
    def write_state(self) -> None:
        """Write STATE with the progress of all running chains, of whatever stream."""
        self.run.chains.record()
        super().write_state()

    @override
    def synced(self) -> None:
        self.run.client.credits.release(self.spending)
        self.run.summary.log_stream(self.name)

    def bookmark(self, state: dict[str, Any]) -> str | None:
        """Return a bookmark.

        Args:
            state: Of the stream, or of a part of it.

        Returns:
            The instant in UTC form; None if there is none for the replication key.

        Raises:
            UnreadableStreamError: When it is not a date-time.
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
                f"{self.name}: the bookmark in the state, {value!r}, is not a date-time. Correct "
                "it, or remove it to read everything."
            ) from error

    # BATCH

    def is_plain(self) -> bool:
        """Return whether records are emitted as they are: no map, no flattening, no limit."""
        return (
            self.ABORT_AT_RECORD_COUNT is None
            and len(self.stream_maps) == 1
            and type(self.stream_maps[0]) is SameRecordTransform
            and self.stream_maps[0].stream_alias == self.name
            and not self.stream_maps[0].flattening_enabled
        )

    def batch_files(self, batch_config: BatchConfig) -> BatchFiles:
        """Return the writer of the stream's files.

        Args:
            batch_config: The SDK's.

        Raises:
            BatchConfigError: When such files cannot be written.
        """
        if not self.is_plain():
            raise BatchConfigError(
                f"{self.name}: BATCH files contain records as Zoho exports them. Remove "
                "either `batch_config`, or stream maps and flattening."
            )
        return BatchFiles(self.name, self.effective_schema, self.primary_keys, batch_config)

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        """Return the SDK's configuration, with files of one page unless `batch_size` is set."""
        settings = config.get("batch_config")
        return super().get_batch_config(
            {"batch_config": settings and {"batch_size": PAGE_RECORDS, **settings}}
        )

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterable[tuple[BaseBatchFileEncoding, list[str]]]:
        names = [
            name
            for name in self.effective_schema["properties"]
            if self.mask["properties", name] or name in self.primary_keys
        ]
        records = iter(self._sync_records(context, write_messages=False))
        with self.failing_alone():
            files = self.batch_files(batch_config)
            for record in records:
                # One file at a time: the STATE after it knows of no record that is not in it.
                of_file = chain([record], islice(records, files.size - 1))
                with self._state_rolled_back_on_error():
                    for manifest in files.write(_chunks(of_file, names)):
                        yield batch_config.encoding, manifest

    @contextmanager
    def _state_rolled_back_on_error(self) -> Iterator[None]:
        """Roll back the stream's state if the block fails.

        Bookmarks move as records are read, and a run writes STATE once more when it ends.
        """
        before = deepcopy(self.stream_state)
        try:
            yield
        except BaseException:
            self.stream_state.clear()
            self.stream_state.update(before)
            raise


def _chunks(records: Iterator[dict[str, Any]], names: Sequence[str]) -> Iterator[Chunk]:
    while taken := list(islice(records, _CHUNK_RECORDS)):
        yield Chunk({name: [record.get(name) for record in taken] for name in names})
