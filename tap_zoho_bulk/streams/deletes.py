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

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_zoho_bulk.catalog.deleted_list import PAGE_CREDITS, DeletedList
from tap_zoho_bulk.catalog.discovery import DELETED_AT
from tap_zoho_bulk.crm.timestamps import parse_instant, utc_or_none
from tap_zoho_bulk.exceptions import UnreadableStreamError
from tap_zoho_bulk.streams.bulk_read import BulkReadStream
from tap_zoho_bulk.streams.reconcile import KnownIds, find_in_zoho

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tap_zoho_bulk.bulk_read.feeds import Feed
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery
    from tap_zoho_bulk.decode.chunk import Chunk

DELETES = "deletes"
"""Key in a stream's state of `since`, the bookmark, and of when the list was last `listed`."""

_LISTED_DAYS = 60
_OTHER_KEY = "`id` is not the only key"


class DeletesStream(BulkReadStream):
    """A stream that also emits the deletes of its module, if `emit_deletes` is set."""

    _known: KnownIds | None = None
    """The ids to reconcile."""

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
        return PAGE_CREDITS if self._obstacle() is None else 0

    @property
    def reconciles(self) -> bool:
        """Whether the ids of a warehouse are compared with Zoho's, as `reconcile_ids` says."""
        return self.name in self.run.settings.reconcile_ids

    @override
    def open_feed(self) -> Feed:
        """Read the ids to reconcile as well: wrong ones are named before a job is paid for."""
        feed = super().open_feed()
        if self.reconciles:
            obstacle = self._obstacle()
            if obstacle is not None:
                raise UnreadableStreamError(
                    f"{self.name}: `reconcile_ids` cannot be applied, because {obstacle}. Remove "
                    "the module from that setting, or change its entry in the catalog."
                )
            self._known = KnownIds.from_file(self.run.settings.reconcile_ids[self.name])
        return feed

    @override
    def finish(self, feed: Feed) -> None:
        """Move the bookmark, then emit the deletes."""
        super().finish(feed)
        obstacle = self._obstacle()
        if obstacle is not None:
            if obstacle == _OTHER_KEY:
                self.logger.warning("No deletes are emitted, because %s.", obstacle)
            return
        self.write_state()  # Emit this before waiting for requests.
        self._emit_deletes(feed.completed.position.started if feed.completed else None)
        if self._known is not None:
            self.write_state()
            self._reconcile(self._known, feed.plan.query)
            self._known = None

    def _obstacle(self) -> str | None:
        """Return why no deletes are emitted; None if they are."""
        if not self.marks_deletes:
            return f"`{DELETED_AT}` is not selected"
        if self.replication_method == REPLICATION_FULL_TABLE and (
            self.emit_activate_version_messages
        ):
            return "the version of a full table drops the rows of deleted records"
        return None if [*self.primary_keys] == ["id"] else _OTHER_KEY

    def _emit_deletes(self, started: str | None) -> None:
        """Emit all deletes since the bookmark, and move it.

        Args:
            started: When the chain's first job was created, by Zoho's clock, if there was one.
        """
        run, state = self.run, self.stream_state
        kept = state.get(DELETES)
        kept = kept if isinstance(kept, dict) else {}
        self._warn_of_gap(utc_or_none(kept.get("listed")))
        # Without a bookmark, everything that Zoho lists: a target may have stored records, and
        # lost the state after them.
        since = utc_or_none(kept.get("since"))
        deleted = DeletedList(
            run.client, run.settings, self.name, since=since, spending=self.spending
        )
        now = _now()
        rows = (
            [(row["id"], row["deleted_time"] or now) for row in page] for page in deleted.pages()
        )
        if count := self._emit_rows(rows):
            self.logger.info("%d records were deleted from Zoho.", count)
        if deleted.is_complete:
            # The list is younger than the job, so it has everything that was deleted before it.
            since = max(filter(None, (deleted.latest, started)), default=None)
            state[DELETES] = {"since": since, "listed": _now()}

    def _reconcile(self, known: KnownIds, query: BulkReadQuery) -> None:
        """Emit a delete for each id that Zoho no longer has.

        Args:
            known: The ids of the warehouse.
            query: What the stream has read.

        Raises:
            UnreadableStreamError: When Zoho has none of the ids.
        """
        started = find_in_zoho(self.run, query, known, self.spending) or _now()
        if not known.any_found:
            # A sandbox has other ids, and a target may remove the rows of deleted records.
            raise UnreadableStreamError(
                f"{self.name}: Zoho has none of the {len(known)} ids in the file, so it seems to "
                "be of another module or organisation, and none was emitted as deleted. Correct "
                "`reconcile_ids`, or if all records are gone, empty the table."
            )
        count = self._emit_rows([(each, started) for each in ids] for ids in known.gone())
        self.logger.info(
            "Reconciled: of %d ids of the warehouse, %d are gone from Zoho, which has %d records "
            "that are not among them.",
            len(known),
            count,
            known.unknown,
        )

    def _emit_rows(self, rows: Iterable[Sequence[tuple[str, str]]]) -> int:
        """Emit deletes, and return their number.

        Args:
            rows: Ids, and when the records were deleted, many at a time.
        """
        before = self.summary.records
        self.emit_from(partial(self._deleted_chunks, rows))
        return self.summary.records - before

    def _deleted_chunks(
        self, deleted: Iterable[Sequence[tuple[str, str]]], chunk_type: type[Chunk]
    ) -> Iterator[Chunk]:
        """Yield the records of deletes."""
        # Stream maps may need every property.
        empty = (
            [] if self.is_plain() else [name for name in self.selected_properties() if name != "id"]
        )
        for rows in deleted:
            ids, times = zip(*rows, strict=True)
            columns: dict[str, Sequence[Any]] = {"id": ids}
            columns |= {name: [None] * len(ids) for name in empty}
            columns[DELETED_AT] = times
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
