"""Reads of all records of an incremental stream, for what `Modified_Time` does not show.

That is values which Zoho computes, and records that are gone from modules for which Zoho keeps no
list of deleted records. A read of all records has a version, so that targets can drop the rows
which it lacks.

A read of all records reads all fields as well: a job costs the same with few fields as with all,
and targets set to null what a record lacks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_zoho_bulk.bulk_read.feeds import PROGRESS
from tap_zoho_bulk.bulk_read.page import PAGE_RECORDS
from tap_zoho_bulk.catalog.discovery import SUBFORM_NOTE
from tap_zoho_bulk.crm.field_types import COMPUTED, zoho_type
from tap_zoho_bulk.crm.timestamps import parse_instant, utc_or_none
from tap_zoho_bulk.settings import ModuleOptions
from tap_zoho_bulk.settings.schema import VERSIONS_WITH_PAGE_TOKENS
from tap_zoho_bulk.streams.deletes import DeletesStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_zoho_bulk.bulk_read.progress import Progress
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery

READ_ALL = "read_whole"
"""Key in state of when the last read of all records began."""
READ_ALL_COUNT = "read_whole_records"
"""Key in state of how many records it returned."""

_SUBFORM_DAYS = 7


class WholeReadsStream(DeletesStream):
    """A stream that reads all records again when that is due."""

    @property
    @override
    def is_counted(self) -> bool:
        return not self._is_subform

    @property
    def _is_subform(self) -> bool:
        return self.effective_schema.get("description") == SUBFORM_NOTE

    @override
    def reads_all(self, query: BulkReadQuery) -> bool:
        if super().reads_all(query):
            return True
        # With page numbers, a record can be missed, and the next run would not bring it back.
        return query.since is None and query.api_version in VERSIONS_WITH_PAGE_TOKENS

    def reads_from_start(self, query: BulkReadQuery) -> bool:
        """Return whether a query reads all records since `start_date`.

        Args:
            query: What is to be read.
        """
        return query.since in {None, self.run.settings.start_date}

    def refreshed(self, query: BulkReadQuery) -> BulkReadQuery:
        """Return the query for all records instead, if that is due.

        Args:
            query: For the records after the bookmark.
        """
        reason = None if self.reads_from_start(query) else self.why_due(query)
        if reason is None:
            return query
        progress = self.stream_state.get(PROGRESS)
        if isinstance(progress, dict) and progress.get("query") == query.fingerprint:
            return query  # Its jobs are paid for; the next run refreshes.
        self.logger.info(
            "Reading all records, because %s; last read of all: %s.",
            reason,
            utc_or_none(self.stream_state.get(READ_ALL)) or "unknown",
        )
        return replace(query, since=self.run.settings.start_date)

    def why_due(self, query: BulkReadQuery) -> str | None:
        """Return why it is time to read all records; None if it is not.

        Args:
            query: For the records after the bookmark.
        """
        return next(self._reasons(query), None)

    def read_from_start(self, progress: Progress) -> None:
        """Note that all records were read.

        Args:
            progress: At the end.
        """
        if self.emit_activate_version_messages:
            self.stream_state[READ_ALL_COUNT] = progress.count
        elif self.run.settings.refresh_formulas_days is None:
            return
        self.stream_state[READ_ALL] = progress.position.started

    def _reasons(self, query: BulkReadQuery) -> Iterator[str]:
        days = self.run.settings.refresh_formulas_days
        if days is not None and self._is_older_than(days):
            fields = self._computed(query.fields)
            if fields:
                names = ", ".join(f"`{name}`" for name in fields)
                yield f"{names} change without a new `{query.replication_key}`"
        days = self._replace_days()
        if days is not None and self._is_older_than(days):
            yield "targets are to drop the rows of records that are gone"

    def _replace_days(self) -> int | None:
        """Return after how many days targets are to drop what is gone, if they are."""
        settings = self.run.settings
        if (
            not self.emit_activate_version_messages
            or settings.start_date is not None
            or settings.api_version not in VERSIONS_WITH_PAGE_TOKENS
        ):
            return None
        days = settings.module_options.get(self.name, ModuleOptions()).replace_days
        days = settings.replace_days if days is None else days
        if days is None and self._is_subform:
            count = self.stream_state.get(READ_ALL_COUNT)
            if isinstance(count, int) and count <= PAGE_RECORDS:
                return _SUBFORM_DAYS  # It costs one job, as reading the changes does.
        return days

    def _is_older_than(self, days: int) -> bool:
        """Return whether the last read of all records is unknown, or began so many days ago."""
        last = utc_or_none(self.stream_state.get(READ_ALL))
        return last is None or (
            datetime.now(timezone.utc) - parse_instant(last) >= timedelta(days=days)
        )

    def _computed(self, fields: Iterable[str]) -> list[str]:
        """Return the fields that Zoho changes without changing `Modified_Time`."""
        types = {
            name: zoho_type(schema) for name, schema in self.effective_schema["properties"].items()
        }
        if not any(types.values()):
            self.logger.warning(
                "The catalog lacks Zoho's types, so any field may be a formula; discover it again."
            )
            return list(fields)
        return [field for field in fields if "." in field or types.get(field) in COMPUTED]
