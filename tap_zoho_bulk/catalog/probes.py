"""Cheap probes, at one API credit each: has a module changed, how large is it, is a scope granted.

Invariant: an inconclusive probe means "unknown", and never fails a stream.

Source: https://www.zoho.com/crm/developer/docs/api/v8/get-records.html and record-count.html
"""

from __future__ import annotations

import logging
from datetime import timezone
from typing import TYPE_CHECKING

from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.crm.scopes import COUNTS, MODULES, SCOPES, module_scope, not_granted
from tap_zoho_bulk.exceptions import MissingScopeError, ZohoRefusedError, ZohoUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.crm.scopes import Scope
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


def count_records(  # noqa: PLR0913 - two of them narrow what is counted
    client: ZohoClient,
    settings: Settings,
    module: str,
    custom_view_id: str | None,
    spending: Spending,
    *,
    changed: tuple[str, datetime] | None = None,
) -> int | None:
    """Return how many records a module has.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        module: API name of the module.
        custom_view_id: Count only the records of this custom view.
        spending: Also counts the cost, besides the run's own.
        changed: Count only records in which this date-time field has this instant or a later one.

    Returns:
        The number; None if Zoho does not report it.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
    """
    params: dict[str, str | int] = {"cvid": custom_view_id} if custom_view_id else {}
    if changed is not None:
        field, since = changed
        since = since.astimezone(timezone.utc).replace(microsecond=0)
        params["criteria"] = f"({field}:greater_equal:{since.isoformat()})"
    try:
        response = client.get(
            ApiRequest(
                f"/crm/{settings.api_version}/{module}/actions/count",
                params=params,
                what=f"count the records of {module}",
                # It also needs that of the module, but bulk read would be refused without that.
                scope=COUNTS.name,
            ),
            spending=spending,
        )
    except (ZohoRefusedError, ZohoUnavailableError) as error:
        logger.warning("%s It is unknown how many records %s has.", error, module)
        return None
    count = str((response or {}).get("count"))
    if not (count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS):
        logger.warning("Zoho's count of %s is not a number.", module)
        return None
    return int(count)


def is_granted(client: ZohoClient, settings: Settings, scope: Scope) -> bool:
    """Return whether the access token has a scope: Zoho checks scopes before anything else.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        scope: The scope, with the request that needs it.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
        ZohoUnavailableError: When the request keeps failing.
    """
    path, _, query = scope.probe.format(version=settings.api_version).partition("?")
    name, _, value = query.partition("=")
    try:
        client.get(
            ApiRequest(
                path,
                what=f"check whether {scope.name} is granted",
                scope=scope.name,
                params={name: value} if query else None,
            ),
        )
    except MissingScopeError:
        return False
    except ZohoRefusedError:
        pass  # For another reason, such as a module that the account does not have.
    return True


def scopes_not_granted(client: ZohoClient, settings: Settings) -> tuple[Scope, ...]:
    """Return the scopes that the access token lacks: as Zoho listed them, or as requests show.

    Args:
        client: Zoho's API.
        settings: The run's settings.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
        ZohoUnavailableError: When a request keeps failing.
    """
    if client.granted_scopes is not None:
        return tuple(not_granted(client.granted_scopes))
    missing = tuple(scope for scope in SCOPES if not is_granted(client, settings, scope))
    # A count needs both scopes: without that of modules, it shows nothing about the other.
    return tuple(scope for scope in missing if scope != COUNTS or MODULES not in missing)


def modules_not_granted(client: ZohoClient, settings: Settings, modules: Iterable[str]) -> set[str]:
    """Return the modules whose records the access token's scopes do not cover.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        modules: API names of the modules.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
        ZohoUnavailableError: When a request keeps failing.
    """
    scopes = {name: module_scope(name) for name in modules}
    granted = client.granted_scopes
    if granted is not None:
        missing = not_granted(granted, scopes.values())
        return {name for name, scope in scopes.items() if scope in missing}
    if is_granted(client, settings, MODULES):
        return set()
    return {name for name, scope in scopes.items() if not is_granted(client, settings, scope)}
