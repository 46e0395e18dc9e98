"""Field types: Zoho's `data_type` to JSON Schema, and the note that records it in a catalog.

Source: https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_EXPORTABLE = frozenset(
    {
        "consent_lookup",
        "fileupload",
        "imageupload",
        "multi_module_lookup_list",
        "multiselectlookup",
        "multiuserlookup",
        "profileimage",
        "subform",
    }
)
"""The types that bulk read cannot export from any module."""

COMPUTED = frozenset({"formula", "rollup_summary"})
"""The types whose values Zoho changes without a new `Modified_Time`."""

_NOTE = "Zoho's type: "
_note_text = re.compile(rf"{_NOTE}(\w+)").match

_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_INTEGER: dict[str, Any] = {"type": ["integer", "null"]}
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_BOOLEAN: dict[str, Any] = {"type": ["boolean", "null"]}
_DATE: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
_DATETIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_TEXT_ARRAY: dict[str, Any] = {"type": ["array", "null"], "items": {"type": ["string"]}}

# All other types are text: ids, lookups, picklists, bigint (19 digits do not fit a JSON number),
# and types that Zoho adds later.
_SCHEMAS = {
    "integer": _INTEGER,
    "double": _NUMBER,
    "currency": _NUMBER,
    "percent": _NUMBER,
    "decimal": _NUMBER,
    "boolean": _BOOLEAN,
    "date": _DATE,
    "datetime": _DATETIME,
}


def json_schema(field: Mapping[str, Any], *, multiselect_array: bool) -> dict[str, Any]:
    """Return the JSON Schema of a field's values.

    Args:
        field: Zoho's metadata of the field. Only `data_type` is required. Formulas and rollups
            have the schema of their return type.
        multiselect_array: Whether multi-select picklists are arrays.
    """
    data_type = str(field.get("data_type"))
    if data_type in COMPUTED:
        returns = field.get(data_type)
        data_type = str(returns.get("return_type")) if isinstance(returns, dict) else ""
    if data_type == "multiselectpicklist" and multiselect_array:
        return {**_TEXT_ARRAY}
    return {**_SCHEMAS.get(data_type, _TEXT)}


def type_note(field: Mapping[str, Any]) -> str:
    """Return a note of a field's type, for the description of its property.

    A catalog keeps descriptions, but loses keywords that are not part of JSON Schema.

    Args:
        field: Zoho's metadata of the field.

    Returns:
        A note such as `Zoho's type: currency.`; "" if the type is unknown.
    """
    data_type = field.get("data_type")
    if not isinstance(data_type, str):
        return ""
    if data_type in NOT_EXPORTABLE:
        return f"{_NOTE}{data_type}, which bulk read cannot export."
    return f"{_NOTE}{data_type}."


def zoho_type(schema: Mapping[str, Any]) -> str | None:
    """Return the type that `type_note` recorded.

    Args:
        schema: JSON Schema of a property in a catalog.

    Returns:
        Zoho's `data_type`; None if the catalog does not record it.
    """
    match = _note_text(str(schema.get("description") or ""))
    return match[1] if match else None
