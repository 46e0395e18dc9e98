"""The stream of deleted records: what was deleted from each selected module, and when.

Invariant: a module's bookmark moves only when the complete list has been emitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_zoho_bulk.catalog.deleted_list import PAGE_CREDITS, DeletedList
from tap_zoho_bulk.streams.base import ZohoStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.run import Run

NAME = "deleted_records"

_SCHEMA = th.PropertiesList(
    th.Property("module", th.StringType, required=True, title="Module"),
    th.Property("id", th.StringType, required=True, title="Record Id"),
    th.Property("display_name", th.StringType, title="Name"),
    th.Property(
        "type",
        th.StringType,
        title="Type",
        description="`recycle` while it is in the recycle bin, `permanent` after that.",
    ),
    th.Property("deleted_time", th.DateTimeType, title="Deleted Time"),
    th.Property("deleted_by_id", th.StringType, title="Deleted By Id"),
    th.Property("deleted_by_name", th.StringType, title="Deleted By"),
    th.Property("created_by_id", th.StringType, title="Created By Id"),
    th.Property("created_by_name", th.StringType, title="Created By"),
).to_dict()


class DeletedRecordsStream(ZohoStream):
    """Deleted records of the selected modules.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
    """

    name = NAME

    def __init__(self, tap: Tap, run: Run) -> None:
        super().__init__(tap, run, name=NAME, schema=_SCHEMA)
        self.primary_keys = ["module", "id"]
        self.replication_key = "deleted_time"
        self.state_partitioning_keys = ["module"]

    @property
    @override
    def least_credits(self) -> int:
        return PAGE_CREDITS * len(self.run.modules())

    @property
    @override
    def partitions(self) -> list[dict[str, Any]]:
        return [{"module": name} for name in self.run.modules()]

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        if context is None:
            return  # No module is selected.
        with self.failing_alone():
            yield from self._read(context["module"], self.get_context_state(context))

    def _read(self, module: str, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a module's list, and move the bookmark if the list is complete."""
        run = self.run
        incremental = self.replication_method == REPLICATION_INCREMENTAL
        bookmark = self.bookmark(state) if incremental else None
        listed = DeletedList(
            run.client, run.settings, module, since=bookmark, spending=self.spending
        )
        for rows in listed.pages():
            yield from rows
            self.summary.records += len(rows)
        if incremental and listed.is_complete and listed.latest is not None:
            state["replication_key"] = self.replication_key
            state["replication_key_value"] = listed.latest
            self.state_changed()
