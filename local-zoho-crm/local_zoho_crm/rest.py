"""The calls outside bulk: metadata, people, records, deleted records, counts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_zoho_crm import metadata
from local_zoho_crm.criteria import compile_criteria
from local_zoho_crm.errors import ZohoError
from local_zoho_crm.paging import Order, info_of, page_of
from local_zoho_crm.people import user_json
from local_zoho_crm.search_criteria import parse_search

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from local_zoho_crm.access import Access
    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import DeletedRecord, Module, Record
    from local_zoho_crm.search_index import SearchIndex

_LATEST_VERSION = 8
_MAX_RECORDS_BY_PAGE = 2000
_EVERYWHERE = frozenset({"Attachments", "Notes"})
"""Modules that each organisation has, also a small one for a test: it has no records in them."""
_USER_TYPES = frozenset(
    {
        "AllUsers",
        "ActiveUsers",
        "DeactiveUsers",
        "ConfirmedUsers",
        "NotConfirmedUsers",
        "ActiveConfirmedUsers",
        "AdminUsers",
        "ActiveConfirmedAdmins",
        "CurrentUser",
    }
)


class RestApi:
    """Handles the calls outside bulk."""

    def __init__(
        self,
        organisation: Organisation,
        access: Access,
        index: SearchIndex,
        no_content: int | None = None,
    ) -> None:
        self._organisation = organisation
        self._access = access
        self._index = index
        self._no_content = no_content

    def routes(self) -> list[Route]:
        """Return the routes of the calls."""
        calls: dict[str, Callable[[Request], Response]] = {
            "settings/modules": self.modules,
            "settings/fields": self.fields,
            "settings/custom_views": self.custom_views,
            "settings/roles": self.roles,
            "settings/profiles": self.profiles,
            "users": self.users,
            "org": self.org,
            "{module}/deleted": self.deleted,
            "{module}/actions/count": self.count,
            "{module}": self.records,
        }
        return [Route(f"/crm/{{version}}/{path}", call) for path, call in calls.items()]

    def modules(self, request: Request) -> Response:
        """List the modules."""
        self._access.admit(request, "ZohoCRM.settings.modules.READ")
        with self._organisation.lock:
            modules = list(self._organisation.modules.values())
        return JSONResponse({"modules": [metadata.module_json(module) for module in modules]})

    def fields(self, request: Request) -> Response:
        """List a module's fields."""
        self._access.admit(request, "ZohoCRM.settings.fields.READ")
        if request.query_params.get("type", "used") not in ("all", "used", "unused"):
            raise ZohoError("INVALID_DATA", api_name="type")
        module = self._named_module(request)
        if module.fields_error == "empty":
            return Response(status_code=204)
        if module.fields_error:
            raise ZohoError(module.fields_error)
        version = self._access.version(request)
        fields = metadata.fields_json(self._organisation, module, version=version)
        return JSONResponse({"fields": fields}) if fields else Response(status_code=204)

    def custom_views(self, request: Request) -> Response:
        """List a module's custom views."""
        self._access.admit(request, "ZohoCRM.settings.custom_views.READ")
        module = self._named_module(request)
        page, per_page, rows = page_of(request, module.custom_views)
        if not rows:
            return Response(status_code=204)
        views = [metadata.custom_view_json(self._organisation, view) for view in rows]
        info = info_of(page, per_page, len(views), len(module.custom_views))
        return JSONResponse({"custom_views": views, "info": info})

    def roles(self, request: Request) -> Response:
        """List the roles."""
        self._access.admit(request, "ZohoCRM.settings.roles.READ")
        return JSONResponse({"roles": self._organisation.roles})

    def profiles(self, request: Request) -> Response:
        """List the profiles."""
        self._access.admit(request, "ZohoCRM.settings.profiles.READ")
        return JSONResponse({"profiles": self._organisation.profiles})

    def org(self, request: Request) -> Response:
        """Describe the organisation."""
        self._access.admit(request, "ZohoCRM.org.READ")
        return JSONResponse({"org": [self._organisation.company]})

    def users(self, request: Request) -> Response:
        """List the users of a type."""
        grant = self._access.admit(request, "ZohoCRM.users.READ")
        wanted = request.query_params.get("type", "AllUsers")
        if wanted not in _USER_TYPES:
            raise ZohoError("INVALID_DATA", api_name="type")
        with self._organisation.lock:
            users = [
                user
                for user in self._organisation.users.records.values()
                if _is_of_type(user, wanted, grant.user_id)
            ]
        if (since := _since(request)) and all(user["Modified_Time"] <= since for user in users):
            return self._nothing(304)
        page, per_page, rows = page_of(request, users)
        if not rows:
            return self._nothing(204)
        listed = [user_json(self._organisation, user) for user in rows]
        info = info_of(page, per_page, len(rows), len(users))
        return JSONResponse({"users": listed, "info": info})

    def deleted(self, request: Request) -> Response:
        """List a module's deleted records."""
        module = self._admit_to_module(request, credits_=2)
        if module.is_subform:
            raise ZohoError("INVALID_MODULE")  # Zoho keeps no list of them.
        wanted = request.query_params.get("type", "all")
        if wanted not in ("all", "recycle", "permanent"):
            raise ZohoError("INVALID_DATA", api_name="type")
        since = _since(request)
        rows = [
            row
            for row in self._organisation.deleted(module.api_name)
            if wanted in ("all", row.type) and (since is None or row.deleted_time >= since)
        ]
        page, per_page, listed = page_of(request, rows)
        if not listed:
            return self._nothing(304 if since and not rows else 204)
        data = [
            {
                "id": row.id,
                "type": row.type,
                **self._about_deleted(row),
                "deleted_time": self._organisation.timestamp(row.deleted_time),
            }
            for row in listed
        ]
        return JSONResponse({"data": data, "info": info_of(page, per_page, len(data), len(rows))})

    def _about_deleted(self, row: DeletedRecord) -> dict[str, Any]:
        """Return who and what a deleted record was: Zoho forgets it with the last copy."""
        if row.type == "permanent":
            return dict.fromkeys(("display_name", "deleted_by", "created_by"))
        return {
            "display_name": row.display_name,
            "deleted_by": self._organisation.user_reference(row.deleted_by),
            "created_by": self._organisation.user_reference(row.created_by),
        }

    def count(self, request: Request) -> Response:
        """Count a module's records, filtered by a custom view and criteria."""
        self._access.admit(request, "ZohoSearch.securesearch.READ", credits_=0)
        module = self._admit_to_module(request)
        if module.is_subform:
            raise ZohoError("INVALID_MODULE")  # Zoho counts no subforms.
        wanted = request.query_params
        criteria = []
        if "criteria" in wanted:
            criteria.append(parse_search(wanted["criteria"]))
        if cvid := wanted.get("cvid"):
            view = next((view for view in module.custom_views if view.id == cvid), None)
            if view is None:
                raise ZohoError("INVALID_DATA", api_name="cvid")
            criteria += [view.criteria] if view.criteria else []
        tests = [
            compile_criteria(each, self._organisation, module, version=_LATEST_VERSION)
            for each in criteria
        ]
        records = self._index.records(module)
        return JSONResponse({"count": sum(all(test(each) for test in tests) for each in records)})

    def records(self, request: Request) -> Response:
        """List a module's records, by id from the newest on, or as the request orders them."""
        name = request.path_params["module"]
        if name in _EVERYWHERE and name not in self._organisation.modules:
            self._access.admit(request, f"ZohoCRM.modules.{name}.READ")
            return self._nothing(204)
        module = self._admit_to_module(request)
        names = request.query_params.get("fields", "")
        if self._access.version(request) > 2 and not names:
            raise ZohoError("REQUIRED_PARAM_MISSING", param_name="fields")
        converted = request.query_params.get("converted", "false")
        if converted not in ("true", "false", "both"):
            raise ZohoError("INVALID_DATA", api_name="converted")
        with self._organisation.lock:
            records = [
                record
                for record in module.records.values()
                if converted == "both" or bool(record.get("$converted")) == (converted == "true")
            ]
        since = _since(request) if "Modified_Time" in module.fields else None
        if since:
            records = [record for record in records if record["Modified_Time"] > since]
            if not records:
                return self._nothing(304)
        order = Order(request)
        records.sort(key=order.key, reverse=order.is_descending)
        if token := request.query_params.get("page_token"):
            page, records = order.after(token, records)
            _, per_page, rows = page_of(request, records)
        else:
            page, per_page, rows = page_of(request, records)
            records = records[(page - 1) * per_page :]
            if page * per_page > _MAX_RECORDS_BY_PAGE:
                raise ZohoError("INVALID_DATA", api_name="page")
        if not rows:
            return self._nothing(204)
        wanted = [name for name in names.split(",") if name in module.fields]
        data = [
            {"id": row["id"]} | {name: self._value(module, row, name) for name in wanted}
            for row in rows
        ]
        about = info_of(page, per_page, len(data), (page - 1) * per_page + len(records))
        if about["more_records"] and self._access.version(request) > 2:
            about["next_page_token"] = order.token(page + 1, rows[-1])
        return JSONResponse({"data": data, "info": about})

    def _nothing(self, status: int) -> Response:
        """Return the response if there are no records: with this status, or as configured."""
        return Response(status_code=self._no_content or status)

    def _value(self, module: Module, record: Record, name: str) -> Any:
        field, value = module.fields[name], record.get(name)
        if value is None or isinstance(value, (bool, list)):
            return value
        match field.kind:
            case "lookup":
                parent = self._organisation.parent(field, record)
                target = self._organisation.target(field)
                module_of = {"api_name": target.api_name, "id": target.id} if target else None
                named = {"id": value, "name": parent and parent.get("full_name")}
                return {**named, "module": module_of} if name == "Parent_Id" else named
            case "datetime":
                return self._organisation.timestamp(value)
            case "integer":
                return value
            case "number":
                return float(value)
            case _:
                return str(value)

    def _admit_to_module(self, request: Request, *, credits_: int = 1) -> Module:
        name = request.path_params["module"]
        scope = f"ZohoCRM.modules.{name}.READ"
        self._access.admit(request, scope, credits_=credits_)
        module = self._organisation.modules.get(name)
        if module is None or not module.api_supported or module.generated_type == "web":
            raise ZohoError("INVALID_MODULE")
        if module.fields_error == "NO_PERMISSION":
            raise ZohoError("NO_PERMISSION")
        return module

    def _named_module(self, request: Request) -> Module:
        name = request.query_params.get("module")
        if not name:
            raise ZohoError("REQUIRED_PARAM_MISSING", param_name="module")
        module = self._organisation.modules.get(name)
        if module is None:
            raise ZohoError("INVALID_MODULE", api_name="module")
        return module


def _is_of_type(user: Record, wanted: str, current: str) -> bool:
    active = bool(user["status"] == "active")
    match wanted:
        case "CurrentUser":
            return bool(user["id"] == current)
        case "DeactiveUsers":
            return not active
        case "NotConfirmedUsers":
            return False
        case "AllUsers" | "ConfirmedUsers":
            return True
        case "AdminUsers" | "ActiveConfirmedAdmins":
            return active and bool(user["profile"] == 0)
        case _:
            return active


def _since(request: Request) -> datetime | None:
    given = request.headers.get("If-Modified-Since")
    if given is None:
        return None
    try:
        instant = datetime.fromisoformat(given.replace("Z", "+00:00"))
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ZohoError("INVALID_DATA", api_name="If-Modified-Since")
    return instant
