"""The content of a correct export: a record's values as JSON, computed without the tap."""

from __future__ import annotations

from datetime import timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local_zoho_crm.schema import Path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Module


def records(
    organisation: Organisation,
    module: Module,
    fields: Iterable[str] | None,
    *,
    as_lists: bool,
    separator: str,
) -> dict[str, dict[str, Any]]:
    """Return the module's records as JSON, by id."""
    paths = _paths(organisation, module, fields)
    return {
        record_id: {"id": record_id}
        | {
            path.name.replace(".", "__"): _value(
                path, path.value(organisation, record), as_lists=as_lists, separator=separator
            )
            for path in paths
        }
        for record_id, record in module.records.items()
        if record_id not in module.omitted
    }


def _paths(organisation: Organisation, module: Module, fields: Iterable[str] | None) -> list[Path]:
    if fields is None:
        return [Path(field.api_name, field) for field in module.exportable_fields]
    paths = []
    for name in fields:
        if name == "id":
            continue
        path = organisation.path(module, name)
        if path is None:
            raise KeyError(f"{module.api_name} has no {name}")
        paths.append(path)
    return paths


def _value(path: Path, value: Any, *, as_lists: bool, separator: str) -> Any:
    if value is None:
        return None
    field = path.field
    if field.is_tag:
        return ",".join(value)
    if field.kind == "list":
        return list(value) if as_lists else separator.join(value)
    return _JSON.get(field.kind, str)(value)


def _utc(value: datetime) -> str:
    return f"{value.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}+00:00"


# Converts a value to JSON by the field's kind; all other kinds become text.
_JSON: dict[str, Callable[[Any], Any]] = {
    "boolean": bool,
    "integer": int,
    "number": Decimal,
    "date": "{:%Y-%m-%d}".format,
    "datetime": _utc,
}
