"""The stream of deleted records: what was deleted from each selected module, and when.

Invariant: a module's bookmark moves only when the complete list has been emitted.

Source: https://www.zoho.com/crm/developer/docs/api/v8/get-deleted-records.html
"""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_zoho_bulk.api.lists import list_pages
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.crm.timestamps import parse_instant, to_utc
from tap_zoho_bulk.exceptions import InvalidValueError, ZohoRefusedError
from tap_zoho_bulk.streams.base import ZohoStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.run import Run

NAME = "deleted_records"

_PER_PAGE = 200
_PAGE_CREDITS = 2
# Pages are numbered on a list that changes, in an order that is not documented, and Zoho does not
# report the time on its clock. So each run reads the last minutes before its bookmark again.
_OVERLAP = timedelta(minutes=10)
# Zoho responds with one of these for a module without a list, such as a subform...
_NO_LIST = frozenset({400, 404})
# ...except for these reasons.
_OTHER_REASONS = frozenset(
    {"AUTHORIZATION_FAILED", "INVALID_HOST", "INVALID_REQUEST_METHOD", "NO_PERMISSION"}
)
_MAX_READS = 4

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
    def partitions(self) -> list[dict[str, Any]]:
        return [{"module": name} for name in self.run.modules()]

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        if context is None:
            return  # No module is selected.
        with self.failing_alone():
            yield from self._read(context["module"], self.get_context_state(context))

    def _read(self, module: str, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a module's list, and move the bookmark if the list did not change meanwhile.

        Pages are numbered on the live list. A record that is restored during the read moves the
        rows after it forward, and one row could move from an unread page to a page that was read
        before. So a list of several pages is read until two reads agree.
        """
        bookmark = self.bookmark(state)
        latest = bookmark or ""
        before: list[int] = []
        for _ in range(_MAX_READS):
            read: list[int] = []
            for records in self._pages(module, bookmark):
                read.append(hash(tuple((row["id"], row["deleted_time"]) for row in records)))
                if read == before[: len(read)]:
                    continue  # The read before emitted this page.
                for record in records:
                    yield record
                    latest = max(latest, record["deleted_time"] or "")
                self.summary.records += len(records)
            if len(read) <= 1 or read == before:
                break
            before = read
        else:
            self.logger.warning(
                "The list of deleted records of %s changed during each of %d reads. The next run "
                "reads it from the same bookmark.",
                module,
                _MAX_READS,
            )
            return
        if latest and self.replication_method == REPLICATION_INCREMENTAL:
            state["replication_key"] = self.replication_key
            state["replication_key_value"] = latest
            self.state_changed()

    def _pages(self, module: str, bookmark: str | None) -> Iterator[list[dict[str, Any]]]:
        """Yield the list's pages; none if Zoho keeps no list."""
        run = self.run
        headers = {}
        if bookmark and self.replication_method == REPLICATION_INCREMENTAL:
            since = parse_instant(bookmark) - _OVERLAP
            headers["If-Modified-Since"] = since.replace(microsecond=0).isoformat()
        pages = list_pages(
            run.client,
            ApiRequest(
                f"/crm/{run.settings.api_version}/{module}/deleted",
                params={"type": "all", "page": 1, "per_page": _PER_PAGE},
                headers=headers,
                what=f"list the deleted records of {module}",
                scope=f"ZohoCRM.modules.ALL (or ZohoCRM.modules.{module}.READ)",
                credits=_PAGE_CREDITS,
                expects="data",
            ),
            spending=self.spending,
        )
        try:
            first = next(pages)
        except ZohoRefusedError as error:
            if error.status not in _NO_LIST or error.code in _OTHER_REASONS:
                raise
            self.logger.info(
                "Zoho keeps no list of deleted records of %s (%s).", module, error.code
            )
            return
        for page in chain([first], pages):
            yield [_record(module, row) for row in page]


def _record(module: str, row: Any) -> dict[str, Any]:
    try:
        deleted_time = row.get("deleted_time")
        return {
            "module": module,
            "id": str(row["id"]),
            "display_name": _text(row.get("display_name")),
            "type": _text(row.get("type")),
            "deleted_time": to_utc(deleted_time) if deleted_time else None,
            **_person("deleted_by", row.get("deleted_by")),
            **_person("created_by", row.get("created_by")),
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidValueError(
            f"{NAME}: a deleted record of {module} does not have the form that Zoho documents "
            f"({type(error).__name__}: {error}). Contact Zoho support if it persists."
        ) from error


def _person(role: str, person: Any) -> dict[str, str | None]:
    person = person or {}
    return {f"{role}_id": _text(person.get("id")), f"{role}_name": _text(person.get("name"))}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
