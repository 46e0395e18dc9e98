"""Modules, fields and custom views as Zoho's metadata calls describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.zoho_server.schema import NOT_EXPORTED, USERS

if TYPE_CHECKING:
    from tests.zoho_server.organisation import Organisation
    from tests.zoho_server.schema import CustomView, Field, Module

_JSON_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "number": "double",
    "lookup": "jsonobject",
    "list": "jsonarray",
}


def module_json(module: Module) -> dict[str, Any]:
    """A module, as the modules call lists it."""
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
        "parent_module": {"api_name": module.parent_module, "id": None}
        if module.parent_module
        else {},
        "profiles": [],
        "modified_by": None,
        "modified_time": None,
        "status": "visible" if module.visible else "system_hidden",
    }


def fields_json(
    organisation: Organisation, module: Module, *, version: int
) -> list[dict[str, Any]]:
    """A module's fields, as the fields call lists them."""
    listed = [
        _field_json(organisation, module, field, number)
        for number, field in enumerate(module.fields.values(), start=1)
        if field.listed
    ]
    if version > 2:
        listed.append(_id_json(module))
    return listed


def custom_view_json(organisation: Organisation, view: CustomView) -> dict[str, Any]:
    """A custom view, as its call lists it."""
    author = organisation.user_reference(str(organisation.current_user["id"]))
    return {
        "id": view.id,
        "name": view.name,
        "display_value": view.name,
        "system_name": view.system_name,
        "system_defined": view.system_name is not None,
        "category": "public_views",
        "access_type": "public",
        "default": view.system_name == "ALLVIEWS",
        "criteria": view.criteria,
        "favorite": None,
        "offline": True,
        "created_by": author,
        "modified_by": author,
        "created_time": None,
        "modified_time": None,
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
        "view_type": dict.fromkeys(("view", "edit", "create", "quick_create"), field.visible),
        "custom_field": field.custom,
        "virtual_field": False,
        "sequence_number": number,
        "pick_list_values": [
            {"id": f"{module.id}{number:02d}{place:02d}", "type": "used", "sequence_number": place}
            | {"actual_value": value, "display_value": value, "reference_value": value}
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
        "tooltip": None,
        "created_source": "default",
        "profiles": [],
    }
    if field.is_computed:
        content[field.data_type] = {"return_type": field.return_type, "expression": "..."}
    if field.data_type == "currency":
        content["currency"] = {"rounding_option": "normal", "precision": field.decimal_place}
    if field.data_type in NOT_EXPORTED:
        content["json_type"] = "jsonarray"
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
