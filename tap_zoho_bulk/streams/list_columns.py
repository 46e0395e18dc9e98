"""What a list of Zoho's is made of: its request, and the columns that are read from its rows.

Invariant: a value has its property's type, or reading it raises ValueError; what is missing or
empty is null. Properties have Zoho's names; parts of objects are joined with `_`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.crm.field_types import json_schema
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
class Parents:
    """What a list is one of several of: each parent has a list of its own.

    Args:
        name: Of the property that says whose a row is. It is also the parameter of the request,
            unless the list's path has a place for it.
        listed: The list of the parents; None for the modules that the settings select.
    """

    name: str
    listed: MetadataList | None = None


@dataclass(frozen=True)
class MetadataList:
    """One of Zoho's lists.

    Args:
        name: Of the stream.
        path: Of the request, after the version; `{}` is replaced with the parent.
        scope: The OAuth scope that it needs.
        columns: Of its rows.
        key: Properties that identify a row.
        listed_as: Name of the list in Zoho's response; that of the stream by default.
        of: The parents that have one list each; None if there is one list.
        paged: Whether it has pages.
        params: Query of the URL.
        replication_key: Property by which the list is incremental; it must be sorted by it.
    """

    name: str
    path: str
    scope: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("id",)
    listed_as: str | None = None
    of: Parents | None = None
    paged: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    replication_key: str | None = None

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


def column(kind: str, name: str, path: str | None = None, description: str = "") -> Column:
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


def columns(kind: str, *names: str) -> list[Column]:
    """Describe properties of one type.

    Args:
        kind: Zoho's name of the type.
        names: Of the properties; `a.b` is part `b` of the object `a`, and becomes `a_b`.
    """
    return [column(kind, name.replace(".", "_"), name) for name in names]


def references(*names: str) -> list[Column]:
    """Describe references to users, roles and the like, by id and name.

    Args:
        names: Of the properties.
    """
    return columns("text", *(f"{name}.{part}" for name in names for part in ("id", "name")))


def objects(name: str, *parts: Column) -> Column:
    """Describe a list of objects.

    Args:
        name: Of the property.
        parts: Properties of each object.
    """
    items = {"type": ["object"], "properties": {each.name: each.schema for each in parts}}

    def read(row: Row) -> list[Row] | None:
        listed = row.get(name)
        if _is_empty(listed):
            return None
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise ValueError("not a list of objects")
        return [{part.name: part.read(each) for part in parts} for each in listed]

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
