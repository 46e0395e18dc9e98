"""The table of types: Zoho's `data_type` to JSON Schema, and the note that keeps it in a catalog.

Source: https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# These bulk read cannot export, whatever the module.
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

_NOTE = "Zoho's type: "
_note_text = re.compile(rf"{_NOTE}(\w+)").match

_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_INTEGER: dict[str, Any] = {"type": ["integer", "null"]}
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_BOOLEAN: dict[str, Any] = {"type": ["boolean", "null"]}
_DATE: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
_DATETIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_TEXT_ARRAY: dict[str, Any] = {"type": ["array", "null"], "items": {"type": ["string"]}}

# What is not here is text: ids, lookups, picklists, bigint (19 digits do not fit a JSON number),
# and whatever Zoho adds one day.
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
    """Give the JSON Schema of a field's values.

    Args:
        field: The field as Zoho describes it; only `data_type` is needed. A formula or rollup
            takes the type that it returns.
        multiselect_array: Whether multi-select picklists become arrays.
    """
    data_type = str(field.get("data_type"))
    if data_type in {"formula", "rollup_summary"}:
        returns = field.get(data_type)
        data_type = str(returns.get("return_type")) if isinstance(returns, dict) else ""
    if data_type == "multiselectpicklist" and multiselect_array:
        return {**_TEXT_ARRAY}
    return {**_SCHEMAS.get(data_type, _TEXT)}


def type_note(field: Mapping[str, Any]) -> str:
    """Tell a field's type in words, for the description of its property.

    A catalog keeps descriptions, and loses keywords that are not JSON Schema's.

    Args:
        field: The field as Zoho describes it.

    Returns:
        Such as `Zoho's type: currency.`; nothing where Zoho does not tell.
    """
    data_type = field.get("data_type")
    if not isinstance(data_type, str):
        return ""
    if data_type in NOT_EXPORTABLE:
        return f"{_NOTE}{data_type}, which bulk read cannot export."
    return f"{_NOTE}{data_type}."


def zoho_type(schema: Mapping[str, Any]) -> str | None:
    """Read back what `type_note` told.

    Args:
        schema: JSON Schema of one property, from a catalog.

    Returns:
        Zoho's `data_type`; None where the catalog does not tell.
    """
    match = _note_text(str(schema.get("description") or ""))
    return match[1] if match else None
