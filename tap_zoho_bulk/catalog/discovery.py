"""Discovery: the account's modules and their fields, as JSON Schemas for streams.

Invariant: an unexpected module or field affects only itself; whatever is left out is logged in one
line. Only an outage ends discovery, because no module may vanish from a sync because of one.

Source: https://www.zoho.com/crm/developer/docs/api/v8/modules-api.html and field-meta.html
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.crm.api_names import did_you_mean, is_api_name
from tap_zoho_bulk.crm.criteria import type_problems
from tap_zoho_bulk.crm.field_types import NOT_EXPORTABLE, json_schema, type_note
from tap_zoho_bulk.crm.related_fields import ParentNames, parent_module, path_note, property_name
from tap_zoho_bulk.exceptions import (
    MissingScopeError,
    SettingsError,
    UnexpectedResponseError,
    ZohoRefusedError,
)
from tap_zoho_bulk.reporting.events import event
from tap_zoho_bulk.settings import ModuleOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.reporting.spending import Spending
    from tap_zoho_bulk.settings import Settings

REPLICATION_KEY = "Modified_Time"
DELETED_AT = "_sdc_deleted_at"
"""Property of when a record was deleted, by Singer's convention; null while it is not."""

SUBFORM_NOTE = "The rows of a subform."
"""Description of a subform's schema: a catalog loses keywords that are not part of JSON Schema."""

_DELETED_AT_SCHEMA: dict[str, Any] = {
    "type": ["string", "null"],
    "format": "date-time",
    "title": "Deleted At",
    "description": "When the record was deleted from Zoho; null while it is not.",
}

_MODULES_SCOPE = "ZohoCRM.settings.modules.READ"
_FIELDS_SCOPE = "ZohoCRM.settings.fields.READ"
# Zoho documents that bulk read does not support these; it refuses others when a job is created.
_UNSUPPORTED_MODULES = frozenset({"Attachments", "Emails", "Notes"})
_UNSUPPORTED_KINDS = frozenset({"linking"})

# Zoho documents that bulk read exports these, but lists them in no metadata.
_UNLISTED = {
    "Leads": {
        "$converted": {
            "api_name": "$converted",
            "data_type": "boolean",
            "field_label": "Converted",
        }
    }
}

logger = logging.getLogger("tap-zoho-bulk.discovery")

Fields = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class DiscoveredModule:
    """A module that bulk read can export.

    Args:
        api_name: The stream's name.
        schema: JSON Schema of its records.
        replication_key: `Modified_Time`, if the module has it.
        unsupported: Properties that bulk read cannot export.
        offered: Properties that are read only if the user selects them by name.
    """

    api_name: str
    schema: dict[str, Any]
    replication_key: str | None
    unsupported: frozenset[str] = frozenset()
    offered: frozenset[str] = frozenset()


def list_modules(
    client: ZohoClient, settings: Settings, spending: Spending | None = None
) -> list[str]:
    """Return the names of the modules that the settings select and bulk read may export.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        spending: Also counts the cost, besides the run's own.

    Raises:
        SettingsError: When a setting names a module that is not there, or cannot be exported.
        TapZohoBulkError: As `ZohoClient.get` does.
    """
    modules = _modules(client, settings, spending)
    return _selected(modules, settings, None, log_skip)


def _modules(
    client: ZohoClient, settings: Settings, spending: Spending | None = None
) -> dict[str, dict[str, Any]]:
    """Return all modules, by API name."""
    response = client.get(
        ApiRequest(
            f"/crm/{settings.api_version}/settings/modules",
            what="list the modules",
            scope=_MODULES_SCOPE,
            expects="modules",
        ),
        spending=spending,
    )
    return {
        module["api_name"]: module
        for module in _objects(response, "modules")
        if isinstance(module.get("api_name"), str) and module["api_name"]
    }


def is_wanted(name: str, settings: Settings) -> bool:
    """Return whether the settings `modules` and `exclude_modules` select a module.

    Args:
        name: API name of the module.
        settings: The run's settings.
    """
    return _matches(name, settings.modules) and not _matches(name, settings.exclude_modules)


def _selected(
    modules: dict[str, dict[str, Any]],
    settings: Settings,
    wanted: Callable[[str], bool] | None,
    skip: Callable[[str, str], None],
) -> list[str]:
    """Return the names of those modules that are wanted and bulk read may export.

    Raises:
        SettingsError: When the settings decide, and name what cannot be exported.
    """
    if wanted is None:
        _check_names(modules, settings)
    names = []
    for name, module in modules.items():
        if not (wanted(name) if wanted else is_wanted(name, settings)):
            continue
        reason = _why_unsupported(name, module)
        if reason is None:
            names.append(name)
        else:
            skip(name, reason)
    return names


def _check_names(modules: dict[str, dict[str, Any]], settings: Settings) -> None:
    """Raise if the settings name a module that is not there, or that cannot be exported."""
    problems = [
        f"`{setting}` names `{pattern}`, which this account does not have."
        f"{did_you_mean(pattern, modules)}"
        for setting, patterns in (
            ("modules", settings.modules),
            ("exclude_modules", settings.exclude_modules),
            ("module_options", settings.module_options),
        )
        for pattern in patterns
        if pattern != "*" and not any(_matches(name, (pattern,)) for name in modules)
    ]
    for name in filter(modules.__contains__, settings.modules):
        reason = _why_unsupported(name, modules[name])
        if reason is not None and is_wanted(name, settings):
            problems.append(f"`modules` names `{name}`, but {reason}.")
    if problems:
        raise SettingsError(f"Correct the settings: {' '.join(problems)}")


def _why_unsupported(name: str, module: Mapping[str, Any]) -> str | None:
    """Return why a module cannot be exported; None if it may be."""
    if not is_api_name(name):
        return "an API name has letters, digits and underscores only"
    if module.get("api_supported") is False:
        return "Zoho's API does not support it"
    if name in _UNSUPPORTED_MODULES or str(module.get("generated_type")) in _UNSUPPORTED_KINDS:
        return "Zoho's bulk read does not support it"
    return None


def log_skip(module: str, why: str) -> None:
    """Log that a module is left out.

    Args:
        module: API name of the module.
        why: The reason, in words.
    """
    logger.warning(
        "Skipping the module %s: %s.",
        module,
        why,
        extra=event("module_skipped", module=module, reason=why),
    )


def discover_modules(
    client: ZohoClient,
    settings: Settings,
    *,
    wanted: Callable[[str], bool] | None = None,
    skip: Callable[[str, str], None] = log_skip,
) -> list[DiscoveredModule]:
    """Describe the modules, requesting the fields of several in parallel.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        wanted: Returns whether to describe a module; by default the settings decide, and must name
            what is there.
        skip: Called with the name of each module that is left out, and why; by any thread.

    Raises:
        SettingsError: When a setting names a module or a field that is not there.
        TapZohoBulkError: As `ZohoClient.get` does, except for errors of a single module.
    """
    modules = _modules(client, settings)
    names = _selected(modules, settings, wanted, skip)
    with ThreadPoolExecutor(
        settings.max_concurrent_requests, thread_name_prefix="discovery"
    ) as pool:
        listed = pool.map(lambda name: _fields(client, settings, name, skip), names)
        fields = dict(zip(names, listed, strict=True))
        parents = _parents(fields, settings) - fields.keys()
        fields_of_parents = pool.map(
            lambda name: _fields(client, settings, name, log_skip), parents
        )
        known = {**fields, **dict(zip(parents, fields_of_parents, strict=True))}
    parent_names = ParentNames(modules, known)
    missing = [
        problem
        for name, module_fields in fields.items()
        if module_fields is not None and name in settings.module_options
        for problem in parent_names.missing(
            name, module_fields, settings.module_options[name].related_fields
        )
    ]
    if missing and wanted is None:
        raise SettingsError(f"Correct `related_fields` in `module_options`: {' '.join(missing)}")
    return [
        _describe(name, module_fields, parent_names, settings)
        for name, module_fields in fields.items()
        if module_fields is not None
    ]


def with_deleted_at(schema: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return a module's schema with `_sdc_deleted_at` if deletes are to be emitted, else without.

    Args:
        schema: JSON Schema of the module's records.
        settings: The run's settings.
    """
    properties = {name: each for name, each in schema["properties"].items() if name != DELETED_AT}
    if settings.emit_deletes:
        properties[DELETED_AT] = _DELETED_AT_SCHEMA
    return {**schema, "properties": properties}


def _fields(
    client: ZohoClient, settings: Settings, module: str, skip: Callable[[str, str], None]
) -> Fields | None:
    """Return a module's fields, by API name; None if Zoho lists none."""
    try:
        response = client.get(
            ApiRequest(
                f"/crm/{settings.api_version}/settings/fields",
                params={"module": module},
                what=f"list the fields of {module}",
                scope=_FIELDS_SCOPE,
                expects="fields",
            ),
        )
    except MissingScopeError:
        raise
    except ZohoRefusedError as error:
        skip(module, f"Zoho refused to list its fields: {error.code} (HTTP {error.status})")
        return None
    except UnexpectedResponseError:
        skip(module, "Zoho's response has no list of fields")
        return None
    fields = {
        field["api_name"]: field
        for field in _objects(response, "fields")
        if isinstance(field.get("api_name"), str) and field["api_name"]
    }
    if not fields:
        skip(module, "Zoho lists no fields for it")
        return None
    return fields


def _describe(
    name: str, fields: Fields, parent_names: ParentNames, settings: Settings
) -> DiscoveredModule:
    properties: dict[str, dict[str, Any]] = {
        "id": {"type": ["string"], "title": _label(fields.get("id", {}), "Record Id")}
    }
    unsupported = set()
    for api_name, field in fields.items():
        if api_name in {"id", "Id"}:
            continue
        if str(field.get("data_type")) in NOT_EXPORTABLE:
            unsupported.add(api_name)
        properties[api_name] = _property(field, settings)
    options = settings.module_options.get(name, ModuleOptions())
    criteria = options.criteria
    requested = [path for path in options.related_fields if path.partition(".")[0] in fields]
    offers = [path for path in map(parent_names.path, fields.values()) if path is not None]
    unlisted = {
        api_name: _property(field, settings)
        for api_name, field in _UNLISTED.get(name, {}).items()
        if api_name not in fields
    }
    related = {
        property_name(path): _related_property(path, fields, parent_names, settings)
        for path in (*requested, *offers)
        if property_name(path) not in properties  # Zoho's own fields keep their names.
    }
    for problem in type_problems(criteria, properties) if criteria else ():
        logger.warning("%s: Zoho will refuse the criteria: %s.", name, problem.at(name))
    modified = properties.get(REPLICATION_KEY, {})
    schema = {"type": "object", "properties": {**properties, **unlisted, **related}}
    if parent_names.modules.get(name, {}).get("generated_type") == "subform":
        schema["description"] = SUBFORM_NOTE
    return DiscoveredModule(
        api_name=name,
        schema=with_deleted_at(schema, settings),
        unsupported=frozenset(unsupported),
        offered=frozenset(unlisted.keys() | related.keys() - set(map(property_name, requested))),
        replication_key=REPLICATION_KEY if modified.get("format") == "date-time" else None,
    )


def _related_property(
    path: str, fields: Fields, parent_names: ParentNames, settings: Settings
) -> dict[str, Any]:
    lookup, _, parent_field = path.partition(".")
    parent = parent_names.fields.get(parent_module(fields[lookup]) or "") or {}
    field = parent.get(parent_field, {})
    schema = _property(field, settings)
    return {
        **schema,
        "title": f"{_label(fields[lookup], lookup)}: {_label(field, parent_field)}",
        "description": " ".join(filter(None, (schema.get("description"), path_note(path)))),
    }


def _property(field: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    schema = json_schema(field, multiselect_array=settings.multiselect_separator is not None)
    labels = {"title": _label(field, ""), "description": type_note(field)}
    return {**schema, **{key: text for key, text in labels.items() if text}}


def _label(field: Mapping[str, Any], default: str) -> str:
    label = field.get("field_label") or field.get("display_label")
    return label if isinstance(label, str) else default


def _parents(fields: dict[str, Fields | None], settings: Settings) -> set[str]:
    """Return the names of the modules whose fields `related_fields` selects."""
    parents = set()
    for name, options in settings.module_options.items():
        module_fields = fields.get(name) or {}
        for related_field in options.related_fields:
            parent = parent_module(module_fields.get(related_field.partition(".")[0], {}))
            if parent is not None:
                parents.add(parent)
    return parents


def _objects(response: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    listed = (response or {}).get(key)
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
