"""Fields of parent records: their names in queries and catalogs, and those that discovery offers.

Invariant: a catalog alone tells that a property is a parent's field, and which. Its name does not:
own fields may hold `__`, too.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/create-job.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOKUPS = frozenset({"lookup", "ownerlookup", "userlookup"})
"""Zoho's types of fields that lead to one parent record."""

_USER_LOOKUPS = frozenset({"ownerlookup", "userlookup"})
_USER_NAME = "last_name"  # the one that Zoho's documentation reads through `Owner`
_CUSTOM_NAME = "Name"
# What Zoho's own modules call their records' names, for where metadata does not tell.
_NAMES = {
    "Accounts": "Account_Name",
    "Calls": "Subject",
    "Campaigns": "Campaign_Name",
    "Cases": "Subject",
    "Contacts": "Last_Name",
    "Deals": "Deal_Name",
    "Events": "Event_Title",
    "Invoices": "Subject",
    "Leads": "Last_Name",
    "Price_Books": "Price_Book_Name",
    "Products": "Product_Name",
    "Purchase_Orders": "Subject",
    "Quotes": "Subject",
    "Sales_Orders": "Subject",
    "Solutions": "Solution_Title",
    "Tasks": "Subject",
    "Vendors": "Vendor_Name",
}

_NOTE = "Related field: "
_noted = re.compile(rf"{_NOTE}([^.\s]+\.[^.\s]+)\.").search


def property_name(path: str) -> str:
    """Name the property of a parent record's field.

    Args:
        path: Such as `Account_Name.Phone`.

    Returns:
        Such as `Account_Name__Phone`.
    """
    return path.replace(".", "__")


def note(path: str) -> str:
    """Tell in words that a property is a parent's field, for its description in the catalog.

    Args:
        path: Such as `Account_Name.Phone`.
    """
    return f"{_NOTE}{path}."


def path_of(schema: Mapping[str, Any]) -> str | None:
    """Read back what `note` told.

    Args:
        schema: JSON Schema of one property, from a catalog.

    Returns:
        Such as `Account_Name.Phone`; None where the property is the module's own field.
    """
    match = _noted(str(schema.get("description") or ""))
    return match[1] if match else None


@dataclass(frozen=True)
class ParentNames:
    """Which field of each module is its records' name, as far as metadata tells.

    Args:
        modules: The modules as Zoho lists them, by API name.
        fields: The fields of those modules that discovery asked about, by API name.
    """

    modules: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Mapping[str, Mapping[str, Any]] | None] = field(repr=False)

    def path(self, lookup: Mapping[str, Any]) -> str | None:
        """Name the parent's name, as a query reaches it through a lookup.

        Args:
            lookup: A field as Zoho describes it.

        Returns:
            Such as `Account_Name.Account_Name`; None for a field that is no lookup, and where
            nothing tells the parent's name field.
        """
        data_type = str(lookup.get("data_type"))
        if data_type in _USER_LOOKUPS:
            return f"{lookup['api_name']}.{_USER_NAME}"
        parent = parent_module(lookup) if data_type in LOOKUPS else None
        name = self._name_field(parent) if parent is not None else None
        return f"{lookup['api_name']}.{name}" if name else None

    def _name_field(self, module: str) -> str | None:
        listed = self.modules.get(module, {})
        fields = self.fields.get(module)
        told = listed.get("display_field")
        candidates = [told.get("api_name") if isinstance(told, dict) else None]
        candidates += [
            name for name, each in (fields or {}).items() if each.get("display_field") is True
        ]
        candidates.append(_NAMES.get(module))
        if fields or listed.get("generated_type") == "custom":
            candidates.append(_CUSTOM_NAME)
        return next(
            (
                name
                for name in candidates
                if isinstance(name, str) and name and (not fields or name in fields)
            ),
            None,
        )


def parent_module(lookup: Mapping[str, Any]) -> str | None:
    """Name the module that a lookup leads to.

    Args:
        lookup: A field as Zoho describes it.

    Returns:
        Its API name; None where Zoho does not tell.
    """
    described = lookup.get("lookup")
    module = described.get("module") if isinstance(described, dict) else None
    name = module.get("api_name") if isinstance(module, dict) else None
    return name if isinstance(name, str) and name else None
