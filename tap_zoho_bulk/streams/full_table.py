"""Full tables: streams whose new rows replace the old ones when the last row has been emitted."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_zoho_bulk.streams.base import ZohoStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.run import Run

VERSION = "version"
"""Key in a stream's state of its last version, so that the next one is greater."""


class VersionedStream(ZohoStream):
    """A stream whose rows have versions, each of which is a read of all records."""

    def next_version(self, last: int | None = None) -> int | None:
        """Return the version of the rows from here on, if this run is to have versions.

        Args:
            last: Version of the rows that this run emitted before, if it did.
        """
        if not self.emit_activate_version_messages:
            return last
        last = last or self.stream_state.get(VERSION)
        # In seconds, as in the SDK: columns of its targets may hold 32 bits only.
        return max(int(time.time()), last + 1 if isinstance(last, int) else 0)

    @property
    def current_version(self) -> int | None:
        """The version of the rows that targets have, if this run is to have versions."""
        version = self.stream_state.get(VERSION) if self.emit_activate_version_messages else None
        return version if isinstance(version, int) else None

    def finish_version(self, version: int | None) -> None:
        """Activate a version, so that targets drop the rows of all others.

        Args:
            version: The version, if the table has one.
        """
        if version is not None:
            self.activate_version(version)
            self.stream_state[VERSION] = version


class FullTableStream(VersionedStream):
    """A stream that is read completely each time, row by row.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
        name: Name of the stream.
        schema: JSON Schema of its records, which the stream makes just so.
    """

    def __init__(self, tap: Tap, run: Run, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, run, name=name, schema=schema)
        self._is_complete = False

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all records.

        Raises:
            TapZohoBulkError: When they cannot be read completely; some may have been yielded.
        """

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        with self.failing_alone():
            if self.replication_method == REPLICATION_FULL_TABLE:
                self.record_version = self.next_version()
            for row in self.rows():
                self.summary.records += 1
                yield row
            self._is_complete = True

    @override
    def emitted(self) -> None:
        if self._is_complete and self.name not in self.run.summary.failures:
            self.finish_version(self.record_version)
            self.write_state()
