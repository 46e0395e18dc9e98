"""Lists that come in pages, such as users or deleted records.

Invariant: a list ends when Zoho reports no more records; one that repeats a page is an error. The
next page is requested by Zoho's token if it gives one, since numbers end at 2,000 records, else by
its number.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.exceptions import RepeatedPageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.api.request import ApiRequest
    from tap_zoho_bulk.reporting.spending import Spending


def list_pages(
    client: ZohoClient, request: ApiRequest, *, spending: Spending | None = None
) -> Iterator[list[Any]]:
    """Yield the pages of a list, at least one; a page is requested when it is needed.

    Args:
        client: Zoho's API.
        request: Of the first page. It expects the list; its `page` is counted up, or replaced with
            Zoho's token of the next page.
        spending: Also counts the cost, besides the run's own.

    Raises:
        RepeatedPageError: When a page is the same as the page before it.
        TapZohoBulkError: As `ZohoClient.get` does.
    """
    before: list[Any] = []
    for number in count(1):
        response = client.get(request, spending=spending)
        rows = response[request.expects] if response and request.expects else []
        if rows and rows == before:
            raise RepeatedPageError(
                f"Could not {request.what}: page {number} is the same as the page before it, so "
                "the list has no end. Contact Zoho support if it persists."
            )
        yield rows
        info = (response or {}).get("info")
        if not rows or not isinstance(info, dict) or not info.get("more_records"):
            return
        before = rows
        params = {**(request.params or {}), "page": number + 1}
        if token := info.get("next_page_token"):
            params["page_token"] = token
            del params["page"]
        request = replace(request, params=params)
