"""Custom views by name: the id of a module's view.

Invariant: a name that matches no view, or more than one, is an error.

Source: https://www.zoho.com/crm/developer/docs/api/v8/custom-view-meta.html
"""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.lists import list_pages
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.exceptions import RepeatedPageError, UnreadableStreamError, ZohoRefusedError
from tap_zoho_bulk.reporting.spending import Spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.settings import Settings

_SCOPE = "ZohoCRM.settings.custom_views.READ"
_NAMES = ("name", "system_name", "display_value")
NOT_EXPORTED = ("Co-owner", "Shared by me", "Shared to me")
"""Views of each module, of Zoho's own, that bulk read does not export."""
_MAX_PAGES = 100
_MAX_LISTED_VIEWS = 50

logger = logging.getLogger("tap-zoho-bulk.custom_views")


def custom_view_id(
    client: ZohoClient, settings: Settings, module: str, spending: Spending
) -> str | None:
    """Return the id of the custom view that narrows a module.

    A view that is named is looked up, at one API credit for 200 views.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        module: API name of the module.
        spending: Also counts the cost, besides the run's own.

    Returns:
        The id; None if the module's options have no view.

    Raises:
        UnreadableStreamError: When no view matches, or several do, or Zoho refuses the list, or
            does not export the view.
        TapZohoBulkError: As `ZohoClient.get` does.
    """
    options = settings.module_options.get(module)
    if options is None or options.custom_view is None:
        return options.custom_view_id if options else None
    name = options.custom_view
    try:
        views = list(_views(client, settings, module, spending))
    except ZohoRefusedError as error:  # This is not about a job that an earlier run created.
        raise UnreadableStreamError(f"{module}: {error}") from error
    matches: dict[str, dict[str, Any]] = {
        view["id"]: view for view in views if name in map(view.get, _NAMES)
    }
    if len(matches) == 1:
        ((view_id, view),) = matches.items()
        if not is_exported(view):
            raise _not_exported(module, name)
        return view_id
    if matches:
        raise UnreadableStreamError(
            f"{module}: several custom views are named `{name}`: {_listed(matches.values())}. "
            "Choose one by `custom_view_id` instead of `custom_view` in `module_options`."
        )
    raise UnreadableStreamError(
        f"{module}: no custom view is named `{name}`. Available: {_listed(views) or 'none'}. "
        "Correct `custom_view` in `module_options`; private views of other users are not listed."
    )


def is_exported(view: Mapping[str, Any]) -> bool:
    """Return whether bulk read exports a custom view, as far as Zoho documents it.

    Args:
        view: As Zoho lists it.
    """
    return not (view.get("system_name") and view.get("name") in NOT_EXPORTED)


def _not_exported(module: str, name: str) -> UnreadableStreamError:
    return UnreadableStreamError(
        f"{module}: Zoho does not export the custom view `{name}`. Choose another one in "
        "`module_options`."
    )


def notes_on_view(client: ZohoClient, settings: Settings, module: str) -> list[str]:
    """Look up the custom view that is chosen by id, which a sync does not, at one API credit.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        module: API name of the module.

    Returns:
        What is to be known about it.

    Raises:
        UnreadableStreamError: When Zoho does not export it.
        TapZohoBulkError: As `ZohoClient.get` does.
    """
    options = settings.module_options.get(module)
    if options is None or options.custom_view_id is None:
        return []
    try:
        views = list(_views(client, settings, module, Spending(module)))
    except ZohoRefusedError as error:
        logger.warning("%s It is unknown whether Zoho exports the custom view.", error)
        return []
    for view in views:
        if view["id"] == options.custom_view_id:
            if not is_exported(view):
                raise _not_exported(module, view["name"])
            return []
    return ["Zoho does not list the custom view"]


def _views(
    client: ZohoClient, settings: Settings, module: str, spending: Spending
) -> Iterator[dict[str, Any]]:
    """Yield the views that have an id, page by page, each once."""
    pages = list_pages(
        client,
        ApiRequest(
            f"/crm/{settings.api_version}/settings/custom_views",
            params={"module": module},
            what=f"list the custom views of {module}",
            scope=_SCOPE,
            expects="custom_views",
        ),
        spending=spending,
    )
    seen: set[str] = set()
    with suppress(RepeatedPageError):  # It has no more views.
        for page in islice(pages, _MAX_PAGES):
            new = [
                view
                for view in page
                if isinstance(view, dict)
                and isinstance(view.get("id"), str)
                and view["id"] not in seen
            ]
            if not new:
                return
            yield from new
            seen.update(view["id"] for view in new)


def _listed(views: Iterable[dict[str, Any]]) -> str:
    """Return the names and ids of views, for messages."""
    names = [
        f"`{view.get('name') or view.get('system_name')}` "
        f"({', '.join(filter(None, (view.get('system_name'), view['id'])))})"
        for view in views
    ]
    more = len(names) - _MAX_LISTED_VIEWS
    return ", ".join(names[:_MAX_LISTED_VIEWS]) + (f" and {more} more" if more > 0 else "")
