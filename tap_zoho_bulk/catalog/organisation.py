"""The organisation: what Zoho says about the account as a whole.

Source: https://www.zoho.com/crm/developer/docs/api/v8/get-org-data.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.request import ApiRequest

if TYPE_CHECKING:
    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.settings import Settings


def read_organisation(client: ZohoClient, settings: Settings) -> dict[str, Any]:
    """Return Zoho's description of the organisation, at one API credit.

    Args:
        client: Zoho's API.
        settings: The run's settings.

    Raises:
        TapZohoBulkError: As `ZohoClient.get` does.
    """
    request = ApiRequest(
        f"/crm/{settings.api_version}/org",
        what="ask for the organisation",
        scope="ZohoCRM.org.READ",
        expects="org",
    )
    listed = (client.get(request) or {}).get("org")
    first = listed[0] if isinstance(listed, list) and listed else {}
    return first if isinstance(first, dict) else {}
