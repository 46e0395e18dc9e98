"""The calls for currencies, territories, pipelines and contact roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_zoho_crm.errors import ZohoError
from local_zoho_crm.paging import info_of, page_of
from local_zoho_crm.people import user_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from local_zoho_crm.access import Access
    from local_zoho_crm.organisation import Organisation


class CompanyCalls:
    """Handles the calls for an organisation's lists that are neither modules nor people."""

    def __init__(self, organisation: Organisation, access: Access) -> None:
        self._organisation = organisation
        self._access = access
        self._lists = organisation.lists

    def routes(self) -> list[Route]:
        """Return the routes of the calls."""
        calls: dict[str, Callable[[Request], Response]] = {
            "org/currencies": self.currencies,
            "settings/territories": self.territories,
            "settings/territories/{territory}/users": self.territory_users,
            "settings/layouts": self.layouts,
            "settings/pipeline": self.pipelines,
            "Contacts/roles": self.contact_roles,
        }
        return [Route(f"/crm/{{version}}/{path}", call) for path, call in calls.items()]

    def currencies(self, request: Request) -> Response:
        """List the currencies."""
        self._access.admit(request, "ZohoCRM.settings.currencies.READ")
        if self._lists.currencies is None:
            raise ZohoError("CURRENCIES_NOT_ENABLED", "Multi currency is not enabled")
        return JSONResponse({"currencies": self._lists.currencies})

    def territories(self, request: Request) -> Response:
        """List the territories."""
        self._access.admit(request, "ZohoCRM.settings.territories.READ")
        territories = self._lists.territories
        if territories is None:
            raise ZohoError("FEATURE_NOT_ENABLED", "Territory Management is not enabled")
        page, per_page, rows = page_of(request, territories)
        if not rows:
            return Response(status_code=204)
        about = info_of(page, per_page, len(rows), len(territories))
        return JSONResponse({"territories": rows, "info": about})

    def territory_users(self, request: Request) -> Response:
        """List the users of a territory."""
        self._access.admit(request, "ZohoCRM.users.READ")
        territory = request.path_params["territory"]
        if territory not in {row["id"] for row in self._lists.territories or []}:
            raise ZohoError("INVALID_DATA", resource_path_index=2)
        ids = self._lists.territory_users.get(territory, [])
        page, per_page, rows = page_of(request, ids)
        if not rows:
            return Response(status_code=204)
        with self._organisation.lock:
            known = self._organisation.users.records
            users = [user_json(self._organisation, known[user_id]) for user_id in rows]
        return JSONResponse({"users": users, "info": info_of(page, per_page, len(rows), len(ids))})

    def layouts(self, request: Request) -> Response:
        """List the layouts of a module; here only Deals has any."""
        self._access.admit(request, "ZohoCRM.settings.layouts.READ")
        if not request.query_params.get("module"):
            raise ZohoError("REQUIRED_PARAM_MISSING", param_name="module")
        if request.query_params["module"] != "Deals":
            return Response(status_code=204)
        names = enumerate(self._lists.pipelines, start=1)
        return JSONResponse(
            {"layouts": [{"id": each, "name": f"Layout {number}"} for number, each in names]}
        )

    def pipelines(self, request: Request) -> Response:
        """List the pipelines of a layout."""
        self._access.admit(request, "ZohoCRM.settings.pipeline.READ")
        layout = request.query_params.get("layout_id")
        if not layout:
            raise ZohoError("REQUIRED_PARAM_MISSING", param_name="layout_id")
        if layout not in self._lists.pipelines:
            raise ZohoError("INVALID_DATA", param_name="layout_id")
        rows = self._lists.pipelines[layout]
        return JSONResponse({"pipeline": rows}) if rows else Response(status_code=204)

    def contact_roles(self, request: Request) -> Response:
        """List the roles that a contact may have in a deal."""
        self._access.admit(request, "ZohoCRM.modules.Contacts.READ")
        return JSONResponse({"contact_roles": self._lists.contact_roles})
