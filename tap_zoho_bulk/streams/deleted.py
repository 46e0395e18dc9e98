"""The stream of deleted records: what vanished from each selected module, and when.

Invariant: a module's bookmark moves only when the whole list has been emitted.

Source: https://www.zoho.com/crm/developer/docs/api/v8/get-deleted-records.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_zoho_bulk.exceptions import InvalidValueError, ZohoRefusedError
from tap_zoho_bulk.field_types import to_utc
from tap_zoho_bulk.settings import parse_instant
from tap_zoho_bulk.streams.base import ZohoStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.tap import TapZohoBulk

NAME = "deleted_records"

_PER_PAGE = 200
_PAGE_CREDITS = 2
# Pages are numbered on a list that changes, in an order that nobody promises, and Zoho does not
# say what time it is there. So each run reads the end of the one before again.
_OVERLAP = timedelta(minutes=10)
# A module that keeps no list of deleted records, such as a subform, answers one of these...
_NO_LIST = frozenset({400, 404})
# ...but so does one whose list the user may not see.
_NO_RIGHT = frozenset({"AUTHORIZATION_FAILED", "NO_PERMISSION"})

_SCHEMA = th.PropertiesList(
    th.Property("module", th.StringType, required=True, title="Module"),
    th.Property("id", th.StringType, required=True, title="Record Id"),
    th.Property("display_name", th.StringType, title="Name"),
    th.Property(
        "type",
        th.StringType,
        title="Type",
        description="`recycle` while it is in the recycle bin, `permanent` when it is gone.",
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
        tap: The tap.
    """

    name = NAME

    def __init__(self, tap: TapZohoBulk) -> None:
        super().__init__(tap, name=NAME, schema=_SCHEMA)
        self.primary_keys = ["module", "id"]
        self.replication_key = "deleted_time"
        self.state_partitioning_keys = ["module"]

    @property
    @override
    def partitions(self) -> list[dict[str, Any]]:
        return [{"module": name} for name in self.zoho_tap.selected_modules()]

    @override
    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        if context is None:
            return  # No module is selected.
        with self.failing_alone():
            try:
                yield from self._list(context["module"], self.get_context_state(context))
            except ZohoRefusedError as error:
                if error.status not in _NO_LIST or error.code in _NO_RIGHT:
                    raise
                self.logger.info(
                    "Zoho keeps no deleted records of %s (%s).", context["module"], error.code
                )

    def _list(self, module: str, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
        tap = self.zoho_tap
        bookmark = state.get("replication_key_value")
        headers = {}
        if bookmark and self.replication_method == REPLICATION_INCREMENTAL:
            since = parse_instant(bookmark) - _OVERLAP
            headers["If-Modified-Since"] = since.replace(microsecond=0).isoformat()
        latest = bookmark
        page = 1
        before: list[str] = []
        while True:
            answer = tap.client.get(
                f"/crm/{tap.settings.api_version}/{module}/deleted",
                params={"type": "all", "page": page, "per_page": _PER_PAGE},
                headers=headers,
                what=f"list the deleted records of {module}",
                scope=f"ZohoCRM.modules.ALL (or ZohoCRM.modules.{module}.READ)",
                spending=tap.summary[self.name].spending,
                credits=_PAGE_CREDITS,
                expects="data",
            )
            rows = (answer or {}).get("data")
            records = [_record(module, row) for row in (rows if isinstance(rows, list) else [])]
            ids = [record["id"] for record in records]
            if ids and ids == before:
                raise InvalidValueError(
                    f"{NAME}: page {page} of the deleted records of {module} is the same as the "
                    "page before it, so the list has no end. Report it to Zoho's support."
                )
            before = ids
            for record in records:
                yield record
                tap.summary[self.name].records += 1
                latest = max(latest or "", record["deleted_time"] or "")
            info = (answer or {}).get("info")
            if not records or not isinstance(info, dict) or not info.get("more_records"):
                break
            page += 1
        if latest and self.replication_method == REPLICATION_INCREMENTAL:
            state["replication_key"] = self.replication_key
            state["replication_key_value"] = latest
            self.state_manager.is_flushed = False


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
            f"{NAME}: among the deleted records of {module} is one that is not as Zoho documents "
            f"it ({type(error).__name__}: {error}). Report it to Zoho's support."
        ) from error


def _person(role: str, person: Any) -> dict[str, str | None]:
    person = person or {}
    return {f"{role}_id": _text(person.get("id")), f"{role}_name": _text(person.get("name"))}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
