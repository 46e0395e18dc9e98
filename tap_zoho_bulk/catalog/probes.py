"""Cheap probes of a module, at one API credit each: has it changed, and how large is it.

Invariant: an inconclusive probe means "unknown", and never fails a stream.

Source: https://www.zoho.com/crm/developer/docs/api/v8/get-records.html and record-count.html
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.exceptions import ZohoRefusedError, ZohoUnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.reporting.spending import Spending
    from tap_zoho_bulk.settings import Settings

_SCOPE = "ZohoCRM.modules.ALL (or ZohoCRM.modules.{module}.READ)"

_MAX_DIGITS = 18  # Python refuses to parse thousands of them.

logger = logging.getLogger("tap-zoho-bulk.probes")


def is_unchanged(
    client: ZohoClient, settings: Settings, module: str, since: datetime, spending: Spending
) -> bool:
    """Return True if certainly no record of a module has changed.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        module: API name of the module.
        since: The instant after which a change counts, in whole seconds.
        spending: Also counts the cost, besides the run's own.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
    """
    try:
        response = client.get(
            ApiRequest(
                f"/crm/{settings.api_version}/{module}",
                params={"fields": "id", "per_page": 1, "converted": "both", "approved": "both"},
                headers={"If-Modified-Since": since.isoformat()},
                what=f"check whether {module} has changed",
                scope=_SCOPE.format(module=module),
            ),
            spending=spending,
        )
    except (ZohoRefusedError, ZohoUnavailableError) as error:
        logger.warning("%s Creating the job without this check.", error)
        return False
    return response is None


def count_records(
    client: ZohoClient,
    settings: Settings,
    module: str,
    custom_view_id: str | None,
    spending: Spending,
) -> int | None:
    """Return how many records a module has.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        module: API name of the module.
        custom_view_id: Count only the records of this custom view.
        spending: Also counts the cost, besides the run's own.

    Returns:
        The number; None if Zoho does not report it.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
    """
    try:
        response = client.get(
            ApiRequest(
                f"/crm/{settings.api_version}/{module}/actions/count",
                params={"cvid": custom_view_id} if custom_view_id else None,
                what=f"count the records of {module}",
                scope=_SCOPE.format(module=module),
            ),
            spending=spending,
        )
    except (ZohoRefusedError, ZohoUnavailableError) as error:
        logger.warning("%s The count is not verified.", error)
        return None
    count = str((response or {}).get("count"))
    if not (count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS):
        logger.warning("Zoho's count of %s is not a number, so the count is not verified.", module)
        return None
    return int(count)
