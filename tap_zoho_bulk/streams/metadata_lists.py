"""The lists that metadata streams read: where each list is, and the columns of its rows.

A list is here if one request brings many of its rows.

Source: https://github.com/zoho/crm-oas, files of v8.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_zoho_bulk.catalog.custom_views import is_exported
from tap_zoho_bulk.crm.field_types import NOT_EXPORTABLE
from tap_zoho_bulk.streams.list_columns import (
    Column,
    MetadataList,
    Parents,
    column,
    columns,
    objects,
    references,
)

if TYPE_CHECKING:
    from tap_zoho_bulk.streams.list_columns import Row

_MODULES = Parents("module")


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
        *columns("text", "id", "first_name", "last_name", "full_name", "alias", "email"),
        *columns("text", "phone", "mobile", "fax", "website", "status", "status_reason__s"),
        *references("role", "profile", "Reporting_To", "created_by", "Modified_By"),
        *columns("datetime", "created_time", "Modified_Time"),
        *columns("date", "dob"),
        *columns("boolean", "confirm", "personal_account", "microsoft", "sandboxDeveloper"),
        *columns("text", "category", "zuid", "Currency"),
        *columns("text", "street", "city", "state", "zip", "country", "country_locale"),
        *columns("text", "language", "locale", "time_zone", "date_format", "time_format"),
        *columns("text", "decimal_separator", "number_separator", "name_format__s"),
        column("integer", "offset", description="Milliseconds from UTC at the time of the read."),
    ),
)

ROLES = MetadataList(
    name="roles",
    path="settings/roles",
    scope="ZohoCRM.settings.roles.READ",
    columns=(
        *columns("text", "id", "name", "display_label", "description"),
        *references("reporting_to", "forecast_manager"),
        *columns("boolean", "share_with_peers", "admin_user"),
        *references("created_by__s", "modified_by__s"),
        *columns("datetime", "created_time__s", "modified_time__s"),
    ),
)

PROFILES = MetadataList(
    name="profiles",
    path="settings/profiles",
    scope="ZohoCRM.settings.profiles.READ",
    columns=(
        *columns("text", "id", "name", "display_label", "description", "type"),
        *columns("text", "permission_type"),
        *columns("boolean", "custom", "default", "category"),
        *references("created_by", "modified_by"),
        *columns("datetime", "created_time", "modified_time"),
    ),
)

ORG = MetadataList(
    name="org",
    path="org",
    scope="ZohoCRM.org.READ",
    columns=(
        *columns("text", "id", "zgid", "ezgid", "company_name", "alias", "type", "domain_name"),
        *columns("text", "description", "primary_email", "primary_zuid", "employee_count"),
        *columns("text", "phone", "mobile", "fax", "website"),
        *columns("text", "street", "city", "state", "zip", "country", "country_code"),
        *columns("text", "currency", "currency_symbol", "currency_locale", "iso_code"),
        *columns("text", "time_zone", "hierarchy_preferences.type"),
        *columns("datetime", "created_time", "license_details.paid_expiry"),
        *columns("boolean", "hierarchy_preferences.strictly_reporting", "license_details.paid"),
        *columns("text", "license_details.paid_type"),
        *columns("text", "license_details.trial_type", "license_details.trial_action"),
        *columns("text", "license_details.trial_expiry"),
        *columns("integer", "license_details.users_license_purchased", "max_per_page"),
        *columns("boolean", "mc_status", "gapps_enabled", "translation_enabled"),
        *columns("boolean", "privacy_settings", "hipaa_compliance_enabled", "lite_users_enabled"),
    ),
)

MODULES = MetadataList(
    name="modules",
    path="settings/modules",
    scope="ZohoCRM.settings.modules.READ",
    columns=(
        *columns("text", "id", "api_name", "module_name", "singular_label", "plural_label"),
        *columns("text", "generated_type", "description", "status", "web_link"),
        *columns("text", "parent_module.id", "parent_module.api_name"),
        *columns("boolean", "api_supported", "viewable", "visible", "creatable", "editable"),
        *columns("boolean", "deletable", "convertable", "show_as_tab", "quick_create"),
        *columns("boolean", "feeds_required", "filter_supported", "triggers_supported"),
        *columns("boolean", "recycle_bin_on_delete", "track_current_data"),
        *columns("integer", "visibility", "sequence_number", "profile_count"),
        *references("modified_by"),
        *columns("datetime", "modified_time"),
        objects("profiles", *columns("text", "id", "name")),
    ),
)

FIELDS = MetadataList(
    name="fields",
    path="settings/fields",
    scope="ZohoCRM.settings.fields.READ",
    of=_MODULES,
    key=("module", "api_name"),
    columns=(
        column("text", "module", description="API name of the module."),
        *columns("text", "api_name", "id", "field_label", "display_label"),
        *columns("text", "data_type", "json_type"),
        *columns("integer", "length", "decimal_place"),
        *columns("boolean", "system_mandatory", "custom_field", "visible", "read_only"),
        *columns("boolean", "field_read_only", "virtual_field", "display_field"),
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
        *columns("text", "formula.return_type", "formula.expression"),
        *columns("text", "rollup_summary.return_type", "rollup_summary.expression"),
        column("text", "lookup_module", "lookup.module.api_name", "API name of the module."),
        column("text", "lookup_api_name", "lookup.api_name"),
        column("text", "subform_module", "subform.module.api_name", "API name of the module."),
        column("text", "associated_module", "associated_module.api_name"),
        *columns("text", "currency.rounding_option"),
        *columns("integer", "currency.precision"),
        *columns("boolean", "view_type.view", "view_type.edit", "view_type.create"),
        *columns("boolean", "searchable", "filterable", "sortable", "mass_update"),
        *columns("boolean", "hipaa_compliance_enabled"),
        *columns("text", "default_value", "created_source", "type", "column_name"),
        *columns("text", "tooltip.name", "tooltip.value"),
        *columns("integer", "sequence_number"),
        *columns("datetime", "created_time", "modified_time"),
        objects(
            "pick_list_values",
            *columns("text", "id", "actual_value", "display_value", "reference_value", "type"),
            *columns("integer", "sequence_number", "probability"),
            *columns("text", "forecast_type", "colour_code"),
            *references("forecast_category"),
        ),
    ),
)

CUSTOM_VIEWS = MetadataList(
    name="custom_views",
    path="settings/custom_views",
    scope="ZohoCRM.settings.custom_views.READ",
    of=_MODULES,
    paged=True,
    key=("module", "id"),
    columns=(
        column("text", "module", description="API name of the module."),
        *columns("text", "id", "name", "display_value", "system_name", "category"),
        *columns("text", "access_type"),
        *columns("boolean", "default", "system_defined", "locked", "offline"),
        Column(
            "exported_by_bulk_read",
            {
                "type": ["boolean", "null"],
                "description": "Whether Zoho documents that bulk read exports this view.",
            },
            is_exported,
        ),
        column("integer", "favorite", description="Place among the favourites."),
        column("text", "criteria", description="Zoho's JSON."),
        *columns("text", "sort_by.id", "sort_by.api_name", "sort_order"),
        *references("created_by", "modified_by"),
        *columns("datetime", "created_time", "modified_time", "last_accessed_time"),
        objects("fields", *columns("text", "id", "api_name")),
        objects("shared_to", *columns("text", "id", "name", "type")),
    ),
)

_TERRITORY = (
    *columns("text", "id", "name", "api_name", "description", "permission_type"),
    *references("manager", "reporting_to", "created_by", "modified_by"),
    *columns("datetime", "created_time", "modified_time"),
)

CURRENCIES = MetadataList(
    name="currencies",
    path="org/currencies",
    scope="ZohoCRM.settings.currencies.READ",
    columns=(
        *columns("text", "id", "name", "iso_code", "symbol"),
        column("double", "exchange_rate", description="Of one unit of the home currency."),
        *columns("boolean", "is_base", "is_active", "prefix_symbol", "exchange_rate_auto_update"),
        *columns("text", "format.decimal_separator", "format.thousand_separator"),
        *columns("text", "format.numeral_system"),
        *columns("integer", "format.decimal_places"),
        *references("created_by", "modified_by"),
        *columns("datetime", "created_time", "modified_time", "exchange_rate_updated_time"),
    ),
)

TERRITORIES = MetadataList(
    name="territories",
    path="settings/territories",
    scope="ZohoCRM.settings.territories.READ",
    paged=True,
    columns=_TERRITORY,
)

USER_TERRITORIES = MetadataList(
    name="user_territories",
    path="settings/territories/{}/users",
    scope="ZohoCRM.users.READ",
    listed_as="users",
    of=Parents("territory_id", TERRITORIES),
    paged=True,
    key=("territory_id", "id"),
    columns=(
        column("text", "territory_id", description="Id of the territory."),
        column("text", "id", description="Id of the user."),
        *columns("text", "full_name", "email", "status"),
        *references("role", "profile"),
    ),
)

_LAYOUTS_OF_DEALS = MetadataList(
    name="layouts",
    path="settings/layouts",
    scope="ZohoCRM.settings.layouts.READ",
    params={"module": "Deals"},
    columns=(),
)

PIPELINES = MetadataList(
    name="pipelines",
    path="settings/pipeline",
    scope="ZohoCRM.settings.pipeline.READ",
    listed_as="pipeline",
    of=Parents("layout_id", _LAYOUTS_OF_DEALS),
    key=("layout_id", "id"),
    columns=(
        column("text", "layout_id", description="Id of the layout of Deals."),
        *columns("text", "id", "display_value", "actual_value"),
        *columns("boolean", "default"),
        objects(
            "maps",
            *columns("text", "id", "display_value", "actual_value", "forecast_type"),
            *columns("integer", "sequence_number"),
            *columns("text", "colour_code"),
            *references("forecast_category"),
        ),
    ),
)

CONTACT_ROLES = MetadataList(
    name="contact_roles",
    path="Contacts/roles",
    scope="ZohoCRM.modules.ALL",
    columns=(*columns("text", "id", "name"), *columns("integer", "sequence_number")),
)


def _records(name: str, module: str, *own: Column) -> MetadataList:
    """Describe a list of records: of a module that bulk read does not export."""
    described = (
        *columns("text", "id"),
        *own,
        *references("Parent_Id"),
        Column(
            "parent_module",
            {"type": ["string", "null"], "description": "API name of the parent's module."},
            _parent_module,
        ),
        *references("Owner", "Created_By", "Modified_By"),
        *columns("datetime", "Created_Time", "Modified_Time"),
    )
    fields = (*(each.name for each in own), "Parent_Id", "Owner", "Created_By", "Modified_By")
    return MetadataList(
        name=name,
        path=module,
        scope="ZohoCRM.modules.ALL",
        listed_as="data",
        paged=True,
        params={
            "fields": ",".join((*fields, "Created_Time", "Modified_Time")),
            "sort_by": "Modified_Time",
            "sort_order": "asc",
        },
        columns=described,
        replication_key="Modified_Time",
    )


def _parent_module(row: Row) -> str | None:
    """Return the module of a row's parent, wherever the API's version has it."""
    parent = row.get("Parent_Id")
    module = parent.get("module") if isinstance(parent, dict) else None
    name = module.get("api_name") if isinstance(module, dict) else row.get("$se_module")
    return name if isinstance(name, str) and name else None


NOTES = _records("notes", "Notes", *columns("text", "Note_Title", "Note_Content"))

ATTACHMENTS = _records(
    "attachments",
    "Attachments",
    *columns("text", "File_Name"),
    column("integer", "Size", description="In bytes."),
)

LISTS = (
    *(USERS, ROLES, PROFILES, ORG, MODULES, FIELDS, CUSTOM_VIEWS),
    *(CURRENCIES, TERRITORIES, USER_TERRITORIES, PIPELINES, CONTACT_ROLES, NOTES, ATTACHMENTS),
)
