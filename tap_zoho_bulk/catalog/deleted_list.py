"""A module's list of deleted records, in pages that are numbered on live data.

Invariant: a list is complete only if no row can have moved from a page that was unread to one that
was read before.

Source: https://www.zoho.com/crm/developer/docs/api/v8/get-deleted-records.html
"""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.lists import list_pages
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.crm.timestamps import parse_instant, to_utc
from tap_zoho_bulk.exceptions import InvalidValueError, ZohoRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.reporting.spending import Spending
    from tap_zoho_bulk.settings import Settings

_PER_PAGE = 200
PAGE_CREDITS = 2
"""API credits of a page."""
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

logger = logging.getLogger("tap-zoho-bulk.deleted_records")


class DeletedList:
    """The records that were deleted from a module, some of them perhaps more than once.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        module: API name of the module.
        since: The instant after which they were deleted, in UTC form; None for all.
        spending: Also counts the cost, besides the run's own.
    """

    def __init__(
        self,
        client: ZohoClient,
        settings: Settings,
        module: str,
        *,
        since: str | None,
        spending: Spending,
    ) -> None:
        self._client = client
        self._spending = spending
        self._module = module
        headers = {}
        if since is not None:
            from_here = parse_instant(since) - _OVERLAP
            headers["If-Modified-Since"] = from_here.replace(microsecond=0).isoformat()
        self._request = ApiRequest(
            f"/crm/{settings.api_version}/{module}/deleted",
            params={"type": "all", "page": 1, "per_page": _PER_PAGE},
            headers=headers,
            what=f"list the deleted records of {module}",
            scope=f"ZohoCRM.modules.ALL (or ZohoCRM.modules.{module}.READ)",
            credits=PAGE_CREDITS,
            expects="data",
        )
        self.latest = since
        """The latest instant of a deletion, in UTC form; None if there was none."""
        self.is_complete = False
        """Whether all rows were yielded, so that the next list can begin at `latest`."""

    def pages(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows, many at a time.

        A record that is restored during the read moves the rows after it forward, and one row could
        move from an unread page to a page that was read before. So a list of several pages is read
        until two reads agree.

        Raises:
            InvalidValueError: When a row does not have its documented form.
            TapZohoBulkError: As `ZohoClient.get` does.
        """
        before: list[int] = []
        for _ in range(_MAX_READS):
            read: list[int] = []
            for rows in self._read():
                read.append(hash(tuple((row["id"], row["deleted_time"]) for row in rows)))
                if read == before[: len(read)]:
                    continue  # The read before yielded this page.
                if rows:
                    yield rows
                latest = max(row["deleted_time"] or "" for row in rows) if rows else ""
                self.latest = max(self.latest or "", latest) or None
            if len(read) <= 1 or read == before:
                self.is_complete = True
                return
            before = read
        logger.warning(
            "The list of deleted records of %s changed during each of %d reads. The next run "
            "reads it from the same bookmark.",
            self._module,
            _MAX_READS,
        )

    def _read(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the list's pages; none if Zoho keeps no list."""
        pages = list_pages(self._client, self._request, spending=self._spending)
        try:
            first = next(pages)
        except ZohoRefusedError as error:
            if error.status not in _NO_LIST or error.code in _OTHER_REASONS:
                raise
            logger.info(
                "Zoho keeps no list of deleted records of %s (%s).", self._module, error.code
            )
            return
        for page in chain([first], pages):
            yield [self._row(row) for row in page]

    def _row(self, row: Any) -> dict[str, Any]:
        try:
            deleted_time = row.get("deleted_time")
            return {
                "module": self._module,
                "id": str(row["id"]),
                "display_name": _text(row.get("display_name")),
                "type": _text(row.get("type")),
                "deleted_time": to_utc(deleted_time) if deleted_time else None,
                **_person("deleted_by", row.get("deleted_by")),
                **_person("created_by", row.get("created_by")),
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(
                f"A deleted record of {self._module} does not have the form that Zoho documents "
                f"({type(error).__name__}: {error}). Contact Zoho support if it persists."
            ) from error


def _person(role: str, person: Any) -> dict[str, str | None]:
    person = person or {}
    return {f"{role}_id": _text(person.get("id")), f"{role}_name": _text(person.get("name"))}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
