"""Discovery: the account's modules and their fields, as JSON Schemas for streams.

Invariant: an odd module or field costs itself at most, never another; whatever is left out is
said in one line. Only an outage ends discovery: no module may vanish from a sync because of one.

Source: https://www.zoho.com/crm/developer/docs/api/v8/modules-api.html and field-meta.html
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.exceptions import MissingScopeError, OddAnswerError, ZohoRefusedError
from tap_zoho_bulk.field_types import NOT_EXPORTABLE, json_schema, type_note

if TYPE_CHECKING:
    from tap_zoho_bulk.client import Spending, ZohoClient
    from tap_zoho_bulk.settings import Settings

REPLICATION_KEY = "Modified_Time"

_MODULES_SCOPE = "ZohoCRM.settings.modules.READ"
_FIELDS_SCOPE = "ZohoCRM.settings.fields.READ"
# Zoho documents that bulk read does not take these; others it refuses when asked.
_UNSUPPORTED_MODULES = frozenset({"Attachments", "Emails", "Notes"})
_UNSUPPORTED_KINDS = frozenset({"linking"})

logger = logging.getLogger("tap-zoho-bulk.discovery")

Fields = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class DiscoveredModule:
    """A module that bulk read can export.

    Args:
        api_name: The stream's name.
        schema: JSON Schema of its records.
        unsupported: Properties that bulk read cannot export.
        replication_key: `Modified_Time`, where the module has it.
    """

    api_name: str
    schema: dict[str, Any]
    unsupported: frozenset[str]
    replication_key: str | None


def related_property(related_field: str) -> str:
    """Name the property of a parent record's field.

    Args:
        related_field: Such as `Account_Name.Phone`.

    Returns:
        Such as `Account_Name__Phone`.
    """
    return related_field.replace(".", "__")


def list_modules(
    client: ZohoClient, settings: Settings, spending: Spending | None = None
) -> list[str]:
    """Name the modules that the settings ask for and that bulk read may export.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        spending: Counts what it costs, besides the run's own.

    Raises:
        TapZohoBulkError: As `ZohoClient.get` does.
    """
    answer = client.get(
        f"/crm/{settings.api_version}/settings/modules",
        what="list the modules",
        scope=_MODULES_SCOPE,
        spending=spending,
        expects="modules",
    )
    names = []
    for module in _objects(answer, "modules"):
        name = module.get("api_name")
        if not isinstance(name, str) or not name:
            continue
        if not _matches(name, settings.modules) or _matches(name, settings.exclude_modules):
            continue
        if module.get("api_supported") is False:
            _skip(name, "Zoho's API does not support it")
        elif (
            name in _UNSUPPORTED_MODULES or str(module.get("generated_type")) in _UNSUPPORTED_KINDS
        ):
            _skip(name, "Zoho's bulk read does not support it")
        else:
            names.append(name)
    for name in settings.module_options.keys() - set(names):
        logger.warning("The setting `module_options` names `%s`, which cannot be synced.", name)
    for pattern in settings.modules:
        if not any(char in pattern for char in "*?[") and pattern not in names:
            logger.warning("The setting `modules` names `%s`, which cannot be synced.", pattern)
    return list(dict.fromkeys(names))


def discover_modules(client: ZohoClient, settings: Settings) -> list[DiscoveredModule]:
    """Describe the modules, asking for the fields of several at once.

    Args:
        client: Zoho's API.
        settings: The run's settings.

    Raises:
        TapZohoBulkError: As `ZohoClient.get` does, but for what is one module's own trouble.
    """
    names = list_modules(client, settings)
    with ThreadPoolExecutor(
        settings.max_concurrent_requests, thread_name_prefix="discovery"
    ) as pool:
        asked = pool.map(lambda name: _fields(client, settings, name), names)
        fields = dict(zip(names, asked, strict=True))
        parents = _parents(fields, settings) - fields.keys()
        fields_of_parents = pool.map(lambda name: _fields(client, settings, name), parents)
        known = {**fields, **dict(zip(parents, fields_of_parents, strict=True))}
    return [
        _describe(name, module_fields, known, settings)
        for name, module_fields in fields.items()
        if module_fields is not None
    ]


def _fields(client: ZohoClient, settings: Settings, module: str) -> Fields | None:
    """Ask for a module's fields, by API name; None where Zoho gives none."""
    try:
        answer = client.get(
            f"/crm/{settings.api_version}/settings/fields",
            params={"module": module},
            what=f"list the fields of {module}",
            scope=_FIELDS_SCOPE,
            expects="fields",
        )
    except MissingScopeError:
        raise
    except ZohoRefusedError as error:
        _skip(module, f"Zoho answered {error.code} (HTTP {error.status}) for its fields")
        return None
    except OddAnswerError:
        _skip(module, "Zoho's answer holds no list of fields")
        return None
    fields = {
        field["api_name"]: field
        for field in _objects(answer, "fields")
        if isinstance(field.get("api_name"), str) and field["api_name"]
    }
    if not fields:
        _skip(module, "Zoho lists no fields for it")
        return None
    return fields


def _describe(
    name: str, fields: Fields, known: dict[str, Fields | None], settings: Settings
) -> DiscoveredModule:
    properties: dict[str, dict[str, Any]] = {
        "id": {"type": ["string"], "title": _label(fields.get("id", {}), "Record Id")}
    }
    unsupported = set()
    for api_name, field in fields.items():
        if api_name in {"id", "Id"}:
            continue
        schema = _property(field, settings)
        if str(field.get("data_type")) in NOT_EXPORTABLE:
            unsupported.add(api_name)
        properties[api_name] = schema
    options = settings.module_options.get(name)
    for related_field in options.related_fields if options else ():
        lookup, _, parent_field = related_field.partition(".")
        if lookup not in fields:
            logger.warning(
                "%s: there is no field `%s`, so the related field `%s` is left out.",
                name,
                lookup,
                related_field,
            )
            continue
        parent = known.get(_parent_module(fields[lookup]) or "") or {}
        field = parent.get(parent_field, {})
        label = f"{_label(fields[lookup], lookup)}: {_label(field, parent_field)}"
        properties[related_property(related_field)] = {
            **_property(field, settings),
            "title": label,
        }
    modified = properties.get(REPLICATION_KEY, {})
    return DiscoveredModule(
        api_name=name,
        schema={"type": "object", "properties": properties},
        unsupported=frozenset(unsupported),
        replication_key=REPLICATION_KEY if modified.get("format") == "date-time" else None,
    )


def _property(field: dict[str, Any], settings: Settings) -> dict[str, Any]:
    schema = json_schema(field, multiselect_array=settings.multiselect_separator is not None)
    words = {"title": _label(field, ""), "description": type_note(field)}
    return {**schema, **{key: text for key, text in words.items() if text}}


def _label(field: dict[str, Any], default: str) -> str:
    label = field.get("field_label") or field.get("display_label")
    return label if isinstance(label, str) else default


def _parents(fields: dict[str, Fields | None], settings: Settings) -> set[str]:
    """Name the modules whose fields `related_fields` asks for."""
    parents = set()
    for name, options in settings.module_options.items():
        module_fields = fields.get(name) or {}
        for related_field in options.related_fields:
            parent = _parent_module(module_fields.get(related_field.partition(".")[0], {}))
            if parent is not None:
                parents.add(parent)
    return parents


def _parent_module(field: dict[str, Any]) -> str | None:
    lookup = field.get("lookup")
    module = lookup.get("module") if isinstance(lookup, dict) else None
    name = module.get("api_name") if isinstance(module, dict) else None
    return name if isinstance(name, str) and name else None


def _objects(answer: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    listed = (answer or {}).get(key)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _skip(module: str, why: str) -> None:
    logger.warning("Skipping the module %s: %s.", module, why)
