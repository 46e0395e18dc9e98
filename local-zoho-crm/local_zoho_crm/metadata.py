"""Modules, fields and custom views as Zoho's metadata calls describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_zoho_crm.schema import NOT_EXPORTED, USERS

if TYPE_CHECKING:
    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import CustomView, Field, Module

_JSON_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "number": "double",
    "lookup": "jsonobject",
    "list": "jsonarray",
}


# Zoho lists the creator of custom modules only.
_CUSTOM = {
    "description": 'Made by us, for "us"',
    "web_link": "https://example.com/",
    "modified_by": {"name": "Patricia Boyle", "id": "554023000000235011"},
    "modified_time": "2024-02-29T23:59:59-08:00",
}


_STAGE: dict[str, Any] = {
    "probability": 10,
    "forecast_type": "Open",
    "forecast_category": {"name": "Pipeline", "id": "5"},
    "colour_code": "#9fdbff",
}

_SYSTEM_VIEW: dict[str, Any] = {
    "category": "public_views",
    "access_type": "public",
    "favorite": None,
    "offline": True,
    "created_time": None,
    "modified_time": None,
}
_SHARED_VIEW: dict[str, Any] = {
    "category": "shared_with_me",
    "access_type": "shared",
    "favorite": 2,
    "offline": False,
    "locked": False,
    "created_time": "2023-03-12T01:59:59-08:00",
    "modified_time": "2023-03-12T03:00:00-07:00",
    "last_accessed_time": "2023-11-05T01:00:00-07:00",
    "sort_by": {"id": "554023000000002611", "api_name": "Created_Time"},
    "sort_order": "desc",
    "fields": [
        {"id": "554023000000002591", "api_name": "Full_Name", "_pin": True},
        {"id": "554023000000002599", "api_name": "Email", "_pin": False},
    ],
    "shared_to": [
        {"type": "roles", "name": "Manager", "id": "554023000000026008", "subordinates": True}
    ],
}


def module_json(module: Module) -> dict[str, Any]:
    """Return a module as the modules call lists it."""
    plural = module.plural_label or module.api_name.replace("_", " ")
    return {
        "api_name": module.api_name,
        "module_name": plural.replace(" ", ""),
        "id": module.id,
        "singular_label": module.singular_label or plural.removesuffix("s"),
        "plural_label": plural,
        "api_supported": module.api_supported,
        "viewable": module.viewable,
        "visible": module.visible,
        "visibility": int(module.visible),
        "creatable": True,
        "editable": True,
        "deletable": True,
        "convertable": module.api_name == "Leads",
        "show_as_tab": module.generated_type != "subform",
        "generated_type": module.generated_type,
        "parent_module": {"api_name": module.parent_module, "id": "554023000000002175"}
        if module.parent_module
        else {},
        "display_field": _display_field(module),
        "quick_create": True,
        "feeds_required": False,
        "filter_supported": True,
        "triggers_supported": True,
        "recycle_bin_on_delete": True,
        "track_current_data": module.api_name == "Deals",
        "sequence_number": 1,
        "profile_count": 2,
        "business_card_field_limit": 5,
        "arguments": [],
        "profiles": [
            {"name": "Administrator", "id": "554023000000015972"},
            {"name": "Standard", "id": "554023000000015975"},
        ],
        "status": "visible" if module.visible else "system_hidden",
        **(_CUSTOM if module.generated_type == "custom" else dict.fromkeys(_CUSTOM)),
    }


def _display_field(module: Module) -> dict[str, Any] | None:
    if module.display_field not in module.fields:
        return None
    number = [*module.fields].index(module.display_field) + 1
    return {"api_name": module.display_field, "id": f"{module.id}{number:02d}"}


def fields_json(
    organisation: Organisation, module: Module, *, version: int
) -> list[dict[str, Any]]:
    """Return a module's fields as the fields call lists them."""
    listed = [
        _field_json(organisation, module, field, number)
        for number, field in enumerate(module.fields.values(), start=1)
        if field.listed
    ]
    if version > 2:
        listed.append(_id_json(module))
    return listed


def custom_view_json(organisation: Organisation, view: CustomView) -> dict[str, Any]:
    """Return a custom view as the custom views call lists it."""
    author = organisation.user_reference(str(organisation.current_user["id"]))
    return {
        "id": view.id,
        "name": view.name,
        "display_value": view.name,
        "system_name": view.system_name,
        "system_defined": view.system_name is not None,
        "default": view.system_name == "ALLVIEWS",
        "criteria": view.criteria,
        "created_by": author,
        "modified_by": author,
        **(_SYSTEM_VIEW if view.system_name else _SHARED_VIEW),
    }


def _id_json(module: Module) -> dict[str, Any]:
    return {
        "id": f"{module.id}00",
        "api_name": "id",
        "field_label": "Record Id",
        "display_label": "Record Id",
        "data_type": "bigint",
        "json_type": "string",
        "length": 20,
        "system_mandatory": True,
        "read_only": True,
        "visible": True,
        "custom_field": False,
        "virtual_field": False,
        "view_type": {"view": False, "edit": False, "create": False, "quick_create": False},
    }


def _field_json(
    organisation: Organisation, module: Module, field: Field, number: int
) -> dict[str, Any]:
    label = field.label or field.api_name.removesuffix("__c").replace("_", " ")
    content: dict[str, Any] = {
        "id": f"{module.id}{number:02d}",
        "api_name": field.api_name,
        "field_label": label,
        "display_label": label,
        "data_type": field.data_type,
        "json_type": _JSON_TYPES.get(field.kind, "string"),
        "length": field.length or 255,
        "decimal_place": field.decimal_place,
        "system_mandatory": field.mandatory,
        "read_only": field.is_computed,
        "field_read_only": field.is_computed,
        "visible": field.visible,
        "display_field": field.api_name == module.display_field,
        "view_type": dict.fromkeys(("view", "edit", "create", "quick_create"), field.visible),
        "custom_field": field.custom,
        "virtual_field": False,
        "sequence_number": number,
        "pick_list_values": [
            {"id": f"{module.id}{number:02d}{place:02d}", "type": "used", "sequence_number": place}
            | {"actual_value": value, "display_value": value, "reference_value": value}
            | (_STAGE if field.api_name == "Stage" else {})
            for place, value in enumerate(field.pick_list, start=1)
        ],
        "lookup": _lookup_json(organisation, field),
        "formula": {},
        "rollup_summary": {},
        "currency": {},
        "unique": {},
        "subform": None,
        "multiselectlookup": {},
        "private": None,
        "hipaa_compliance_enabled": field.restricted,
        "tooltip": {"name": "info_icon", "value": "Ours alone"} if field.custom else None,
        "created_source": "default",
        "profiles": [],
        "searchable": field.kind != "textarea",
        "filterable": field.kind != "textarea",
        "sortable": field.kind != "textarea",
        "mass_update": not field.is_computed,
        "default_value": field.pick_list[0] if field.pick_list else "",
        "type": "used",
        "column_name": field.api_name.upper(),
        "associated_module": None,
        "created_time": "2023-07-01T12:00:00+05:30" if field.custom else None,
        "modified_time": "2023-07-02T00:00:00+05:30" if field.custom else None,
    }
    if field.is_computed:
        content[field.data_type] = {"return_type": field.return_type, "expression": "..."}
    if field.data_type == "currency":
        content["currency"] = {"rounding_option": "normal", "precision": field.decimal_place}
    if field.data_type in NOT_EXPORTED:
        content["json_type"] = "jsonarray"
    if field.data_type == "subform" and field.lookup:
        target = {"api_name": field.lookup, "id": f"{module.id}99"}
        content["subform"] = {"module": target, "id": f"{module.id}98"}
        content["associated_module"] = target
    content.update(field.metadata)
    return {key: value for key, value in content.items() if value is not ...}


def _lookup_json(organisation: Organisation, field: Field) -> dict[str, Any]:
    target = organisation.target(field)
    if target is None or field.target == USERS:
        return {}
    return {
        "api_name": field.api_name,
        "display_label": field.label or field.api_name,
        "id": target.id,
        "module": {"api_name": target.api_name, "id": target.id},
        "query_details": {},
    }
