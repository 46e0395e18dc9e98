"""The lists that metadata streams read: where each list is, and the columns of its rows.

Invariant: a value has its property's type, or reading it raises ValueError; what is missing or
empty is null. Properties have Zoho's names; parts of objects are joined with `_`.

Source: https://github.com/zoho/crm-oas, files of v8.0
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.crm.field_types import NOT_EXPORTABLE, json_schema
from tap_zoho_bulk.decode.cells import converter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Row = dict[str, Any]

_NAMES = frozenset({"api_name", "name"})


@dataclass(frozen=True)
class Column:
    """A property of a stream.

    Args:
        name: Of the property.
        schema: JSON Schema of its values.
        read: Returns a row's value, or raises ValueError.
    """

    name: str
    schema: dict[str, Any]
    read: Callable[[Row], Any]


@dataclass(frozen=True)
class MetadataList:
    """One of Zoho's lists.

    Args:
        name: Of the stream, and of the list in Zoho's response.
        path: Of the request, after the version.
        scope: The OAuth scope that it needs.
        columns: Of its rows.
        key: Properties that identify a row.
        by_module: Whether there is one list for each module.
        paged: Whether it has pages.
        params: Query of the URL.
    """

    name: str
    path: str
    scope: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("id",)
    by_module: bool = False
    paged: bool = False
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """Its rows in words, for messages."""
        return {"org": "organisation"}.get(self.name, self.name.replace("_", " "))

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the stream's records."""
        properties = {column.name: column.schema for column in self.columns}
        properties |= {name: {**properties.get(name, {}), "type": ["string"]} for name in self.key}
        return {"type": "object", "properties": properties}


def _column(kind: str, name: str, path: str | None = None, description: str = "") -> Column:
    """Describe a property of one of Zoho's data types.

    Args:
        kind: Zoho's name of the type.
        name: Of the property.
        path: Its place in the row, with points; the property's name by default.
        description: Of the property.
    """
    schema = json_schema({"data_type": kind}, multiselect_array=False)
    convert = converter(schema, multiselect_separator=None)
    keys = (path or name).split(".")
    if description:
        schema["description"] = description
    return Column(name, schema, lambda row: convert([_text(_find(row, keys))])[0])


def _columns(kind: str, *names: str) -> list[Column]:
    """Describe properties of one type; `a.b` is part `b` of the object `a`, and becomes `a_b`."""
    return [_column(kind, name.replace(".", "_"), name) for name in names]


def _references(*names: str) -> list[Column]:
    """Describe references to users, roles and the like, by id and name."""
    return _columns("text", *(f"{name}.{part}" for name in names for part in ("id", "name")))


def _objects(name: str, *columns: Column) -> Column:
    """Describe a list of objects."""
    items = {"type": ["object"], "properties": {each.name: each.schema for each in columns}}

    def read(row: Row) -> list[Row] | None:
        listed = row.get(name)
        if _is_empty(listed):
            return None
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise ValueError("not a list of objects")
        return [{column.name: column.read(each) for column in columns} for each in listed]

    return Column(name, {"type": ["array", "null"], "items": items}, read)


def _find(row: Row, keys: list[str]) -> Any:
    """Return the value at a path; None if there is none.

    Older versions of the API have the name alone in place of some objects.
    """
    value: Any = row
    for key in keys:
        if _is_empty(value):
            return None
        if isinstance(value, dict):
            value = value.get(key)
        elif key not in _NAMES:
            if key == "id":
                return None
            raise ValueError("not an object")
    return value


def _text(value: Any) -> str:
    """Return a value as text, as a CSV would have it; a value of another type as JSON."""
    if _is_empty(value):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _exported(row: Row) -> bool | None:
    data_type = row.get("data_type")
    return data_type not in NOT_EXPORTABLE if isinstance(data_type, str) and data_type else None


USERS = MetadataList(
    name="users",
    path="users",
    scope="ZohoCRM.users.READ",
    paged=True,
    params={"type": "AllUsers"},
    columns=(
        *_columns("text", "id", "first_name", "last_name", "full_name", "alias", "email"),
        *_columns("text", "phone", "mobile", "fax", "website", "status", "status_reason__s"),
        *_references("role", "profile", "Reporting_To", "created_by", "Modified_By"),
        *_columns("datetime", "created_time", "Modified_Time"),
        *_columns("date", "dob"),
        *_columns("boolean", "confirm", "personal_account", "microsoft", "sandboxDeveloper"),
        *_columns("text", "category", "zuid", "Currency"),
        *_columns("text", "street", "city", "state", "zip", "country", "country_locale"),
        *_columns("text", "language", "locale", "time_zone", "date_format", "time_format"),
        *_columns("text", "decimal_separator", "number_separator", "name_format__s"),
        _column("integer", "offset", description="Milliseconds from UTC at the time of the read."),
    ),
)

ROLES = MetadataList(
    name="roles",
    path="settings/roles",
    scope="ZohoCRM.settings.roles.READ",
    columns=(
        *_columns("text", "id", "name", "display_label", "description"),
        *_references("reporting_to", "forecast_manager"),
        *_columns("boolean", "share_with_peers", "admin_user"),
        *_references("created_by__s", "modified_by__s"),
        *_columns("datetime", "created_time__s", "modified_time__s"),
    ),
)

PROFILES = MetadataList(
    name="profiles",
    path="settings/profiles",
    scope="ZohoCRM.settings.profiles.READ",
    columns=(
        *_columns("text", "id", "name", "display_label", "description", "type"),
        *_columns("text", "permission_type"),
        *_columns("boolean", "custom", "default", "category"),
        *_references("created_by", "modified_by"),
        *_columns("datetime", "created_time", "modified_time"),
    ),
)

ORG = MetadataList(
    name="org",
    path="org",
    scope="ZohoCRM.org.READ",
    columns=(
        *_columns("text", "id", "zgid", "ezgid", "company_name", "alias", "type", "domain_name"),
        *_columns("text", "description", "primary_email", "primary_zuid", "employee_count"),
        *_columns("text", "phone", "mobile", "fax", "website"),
        *_columns("text", "street", "city", "state", "zip", "country", "country_code"),
        *_columns("text", "currency", "currency_symbol", "currency_locale", "iso_code"),
        *_columns("text", "time_zone", "hierarchy_preferences.type"),
        *_columns("datetime", "created_time", "license_details.paid_expiry"),
        *_columns("boolean", "hierarchy_preferences.strictly_reporting", "license_details.paid"),
        *_columns("text", "license_details.paid_type"),
        *_columns("text", "license_details.trial_type", "license_details.trial_action"),
        *_columns("text", "license_details.trial_expiry"),
        *_columns("integer", "license_details.users_license_purchased", "max_per_page"),
        *_columns("boolean", "mc_status", "gapps_enabled", "translation_enabled"),
        *_columns("boolean", "privacy_settings", "hipaa_compliance_enabled", "lite_users_enabled"),
    ),
)

MODULES = MetadataList(
    name="modules",
    path="settings/modules",
    scope="ZohoCRM.settings.modules.READ",
    columns=(
        *_columns("text", "id", "api_name", "module_name", "singular_label", "plural_label"),
        *_columns("text", "generated_type", "description", "status", "web_link"),
        *_columns("text", "parent_module.id", "parent_module.api_name"),
        *_columns("boolean", "api_supported", "viewable", "visible", "creatable", "editable"),
        *_columns("boolean", "deletable", "convertable", "show_as_tab", "quick_create"),
        *_columns("boolean", "feeds_required", "filter_supported", "triggers_supported"),
        *_columns("boolean", "recycle_bin_on_delete", "track_current_data"),
        *_columns("integer", "visibility", "sequence_number", "profile_count"),
        *_references("modified_by"),
        *_columns("datetime", "modified_time"),
        _objects("profiles", *_columns("text", "id", "name")),
    ),
)

FIELDS = MetadataList(
    name="fields",
    path="settings/fields",
    scope="ZohoCRM.settings.fields.READ",
    by_module=True,
    key=("module", "api_name"),
    columns=(
        _column("text", "module", description="API name of the module."),
        *_columns("text", "api_name", "id", "field_label", "display_label"),
        *_columns("text", "data_type", "json_type"),
        *_columns("integer", "length", "decimal_place"),
        *_columns("boolean", "system_mandatory", "custom_field", "visible", "read_only"),
        *_columns("boolean", "field_read_only", "virtual_field", "display_field"),
        Column(
            "exported_by_bulk_read",
            {
                "type": ["boolean", "null"],
                "description": (
                    "Whether Zoho documents that bulk read exports fields of this type. It still "
                    "refuses a few of them, such as some addresses."
                ),
            },
            _exported,
        ),
        *_columns("text", "formula.return_type", "formula.expression"),
        *_columns("text", "rollup_summary.return_type", "rollup_summary.expression"),
        _column("text", "lookup_module", "lookup.module.api_name", "API name of the module."),
        _column("text", "lookup_api_name", "lookup.api_name"),
        _column("text", "subform_module", "subform.module.api_name", "API name of the module."),
        _column("text", "associated_module", "associated_module.api_name"),
        *_columns("text", "currency.rounding_option"),
        *_columns("integer", "currency.precision"),
        *_columns("boolean", "view_type.view", "view_type.edit", "view_type.create"),
        *_columns("boolean", "searchable", "filterable", "sortable", "mass_update"),
        *_columns("boolean", "hipaa_compliance_enabled"),
        *_columns("text", "default_value", "created_source", "type", "column_name"),
        *_columns("text", "tooltip.name", "tooltip.value"),
        *_columns("integer", "sequence_number"),
        *_columns("datetime", "created_time", "modified_time"),
        _objects(
            "pick_list_values",
            *_columns("text", "id", "actual_value", "display_value", "reference_value", "type"),
            *_columns("integer", "sequence_number", "probability"),
            *_columns("text", "forecast_type", "colour_code"),
            *_references("forecast_category"),
        ),
    ),
)

CUSTOM_VIEWS = MetadataList(
    name="custom_views",
    path="settings/custom_views",
    scope="ZohoCRM.settings.custom_views.READ",
    by_module=True,
    paged=True,
    key=("module", "id"),
    columns=(
        _column("text", "module", description="API name of the module."),
        *_columns("text", "id", "name", "display_value", "system_name", "category"),
        *_columns("text", "access_type"),
        *_columns("boolean", "default", "system_defined", "locked", "offline"),
        _column("integer", "favorite", description="Place among the favourites."),
        _column("text", "criteria", description="Zoho's JSON."),
        *_columns("text", "sort_by.id", "sort_by.api_name", "sort_order"),
        *_references("created_by", "modified_by"),
        *_columns("datetime", "created_time", "modified_time", "last_accessed_time"),
        _objects("fields", *_columns("text", "id", "api_name")),
        _objects("shared_to", *_columns("text", "id", "name", "type")),
    ),
)

LISTS = (USERS, ROLES, PROFILES, ORG, MODULES, FIELDS, CUSTOM_VIEWS)
