"""Lists in pages, by number or by token, and what a response says about its page."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from local_zoho_crm.errors import ZohoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from local_zoho_crm.schema import Record

MAX_PER_PAGE = 200
_ORDERS = ("id", "Created_Time", "Modified_Time")
_NUMBER = re.compile(r"[0-9]{1,9}")


def page_of(request: Request, rows: Sequence[Any]) -> tuple[int, int, list[Any]]:
    """Return the number of the page that a request names, its size and its rows."""
    page = _number(request, "page", 1, maximum=None)
    per_page = _number(request, "per_page", MAX_PER_PAGE, maximum=MAX_PER_PAGE)
    return page, per_page, list(rows[(page - 1) * per_page : page * per_page])


def _number(request: Request, name: str, default: int, *, maximum: int | None) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    is_number = _NUMBER.fullmatch(given) is not None
    if not is_number or int(given) < 1 or (maximum is not None and int(given) > maximum):
        raise ZohoError("INVALID_DATA", api_name=name, expected_data_type="integer")
    return int(given)


def info_of(page: int, per_page: int, count: int, total: int) -> dict[str, Any]:
    """Return what a response says about its page."""
    return {
        "page": page,
        "per_page": per_page,
        "count": count,
        "more_records": page * per_page < total,
    }


class Order:
    """The order in which a request lists records.

    A page's token is a place in that order, so the next page begins behind the last record,
    whatever was added, changed or deleted since.

    Raises:
        ZohoError: There is no such order.
    """

    def __init__(self, request: Request) -> None:
        self._by = request.query_params.get("sort_by", "id")
        if self._by not in _ORDERS:
            raise ZohoError("INVALID_DATA", api_name="sort_by")
        order = request.query_params.get("sort_order", "desc")
        if order not in ("asc", "desc"):
            raise ZohoError("INVALID_DATA", api_name="sort_order")
        self.is_descending = order == "desc"
        if "page" in request.query_params and "page_token" in request.query_params:
            raise ZohoError("AMBIGUITY_DURING_PROCESSING", param_names=["page", "page_token"])

    def key(self, record: Record) -> list[Any]:
        """Return a record's place in the order."""
        number = int(record["id"])
        return [number] if self._by == "id" else [record[self._by].timestamp(), number]

    def token(self, page: int, last: Record) -> str:
        """Return the token of the page behind a record."""
        place = [page, self._by, self.is_descending, self.key(last)]
        return urlsafe_b64encode(json.dumps(place).encode()).decode()

    def after(self, token: str, records: list[Record]) -> tuple[int, list[Record]]:
        """Return the number of a token's page, and the records from there on.

        Raises:
            ZohoError: The token is not one of this order.
        """
        try:
            page, by, is_descending, key = json.loads(urlsafe_b64decode(token))
        except ValueError:
            page, by, is_descending, key = 0, None, False, []
        if (by, is_descending) != (self._by, self.is_descending):
            raise ZohoError("INVALID_DATA", api_name="page_token")
        if is_descending:
            return page, [record for record in records if self.key(record) < key]
        return page, [record for record in records if self.key(record) > key]
