"""The deletes of a module, in its own stream: each deleted record comes as a last record.

It has its key and `_sdc_deleted_at` only, since Zoho reports nothing else. Deletes go out after the
last page: a page is older than the list, so a target that stores records in their order ends with
what Zoho has.

Invariant: the bookmark of deletes moves only when the complete list has been emitted.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_zoho_bulk.catalog.deleted_list import PAGE_CREDITS, DeletedList
from tap_zoho_bulk.catalog.discovery import DELETED_AT
from tap_zoho_bulk.crm.timestamps import parse_instant, utc_or_none
from tap_zoho_bulk.streams.bulk_read import BulkReadStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_zoho_bulk.bulk_read.feeds import Feed
    from tap_zoho_bulk.decode.chunk import Chunk

DELETES = "deletes"
"""Key in a stream's state of `since`, the bookmark, and of when the list was last `listed`."""

_LISTED_DAYS = 60


class DeletesStream(BulkReadStream):
    """A stream that also emits the deletes of its module, if `emit_deletes` is set."""

    def selected_properties(self) -> list[str]:
        """Return the names of the selected properties."""
        return [
            name for name in self.effective_schema["properties"] if self.mask["properties", name]
        ]

    @property
    def marks_deletes(self) -> bool:
        """Whether records have `_sdc_deleted_at`, which only the setting adds to the schema."""
        return DELETED_AT in self.selected_properties()

    @property
    @override
    def least_credits(self) -> int:
        return PAGE_CREDITS if self._emits_deletes else 0

    @property
    def _emits_deletes(self) -> bool:
        """Whether deletes are emitted; activating a version drops the rows of deleted records."""
        has_versions = (
            self.replication_method == REPLICATION_FULL_TABLE
            and self.emit_activate_version_messages
        )
        return self.marks_deletes and not has_versions

    @override
    def finish(self, feed: Feed) -> None:
        """Move the bookmark, then emit the deletes."""
        has_read_before = self.bookmark(self.stream_state) is not None
        super().finish(feed)
        if not self._emits_deletes:
            return
        if [*self.primary_keys] != ["id"]:
            self.logger.warning("Deletes are not emitted, because `id` is not the only key.")
            return
        started = feed.completed.position.started if feed.completed else None
        if self.replication_method == REPLICATION_INCREMENTAL and not has_read_before:
            # The first read has no record that was deleted before its first job.
            self.stream_state.setdefault(DELETES, {"since": started})
        self.write_state()  # Emit this before waiting for requests.
        self._emit_deletes(started)

    def _emit_deletes(self, started: str | None) -> None:
        """Emit all deletes since the bookmark, and move it.

        Args:
            started: When the chain's first job was created, by Zoho's clock, if there was one.
        """
        run, state = self.run, self.stream_state
        kept = state.get(DELETES)
        kept = kept if isinstance(kept, dict) else {}
        self._warn_of_gap(utc_or_none(kept.get("listed")))
        since = utc_or_none(kept.get("since"))
        deleted = DeletedList(
            run.client, run.settings, self.name, since=since, spending=self.spending
        )
        before = self.summary.records
        self.emit_from(partial(self._deleted_chunks, deleted))
        if count := self.summary.records - before:
            self.logger.info("%d records were deleted from Zoho.", count)
        if deleted.is_complete:
            # The list is younger than the job, so it has everything that was deleted before it.
            since = max(filter(None, (deleted.latest, started)), default=None)
            state[DELETES] = {"since": since, "listed": _now()}

    def _deleted_chunks(self, deleted: DeletedList, chunk_type: type[Chunk]) -> Iterator[Chunk]:
        """Yield the deleted records."""
        # Stream maps may need every property.
        empty = (
            [] if self.is_plain() else [name for name in self.selected_properties() if name != "id"]
        )
        now = _now()
        for rows in deleted.pages():
            columns: dict[str, Sequence[Any]] = {"id": [row["id"] for row in rows]}
            columns |= {name: [None] * len(rows) for name in empty}
            columns[DELETED_AT] = [row["deleted_time"] or now for row in rows]
            yield chunk_type(columns)

    def _warn_of_gap(self, listed: str | None) -> None:
        """Warn if Zoho may have dropped rows from its list since the last run read it."""
        if listed is None:
            return
        age = datetime.now(timezone.utc) - parse_instant(listed)
        if age > timedelta(days=_LISTED_DAYS):
            self.logger.warning(
                "Deletes were last read %d days ago, but Zoho lists records in the recycle bin "
                "for %d days only. Some deletes may be missing.",
                age.days,
                _LISTED_DAYS,
            )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
