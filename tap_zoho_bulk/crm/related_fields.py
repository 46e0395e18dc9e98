"""Fields of parent records: their names in queries and catalogs, and which ones discovery offers.

Invariant: only the description of a property in the catalog shows that it is a parent's field, and
which. Its name does not: a module's own fields may also contain `__`.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/create-job.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.crm.api_names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LOOKUPS = frozenset({"lookup", "ownerlookup", "userlookup"})
"""The types of fields that reference one parent record."""

_USER_LOOKUPS = frozenset({"ownerlookup", "userlookup"})
_USER_NAME = "last_name"  # the field that Zoho's documentation reads through `Owner`
_CUSTOM_NAME = "Name"
# The name fields of Zoho's own modules, for metadata that does not include them.
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
    """Return the name of the property of a parent record's field.

    Args:
        path: The field's path, such as `Account_Name.Phone`.

    Returns:
        A name such as `Account_Name__Phone`.
    """
    return path.replace(".", "__")


def path_note(path: str) -> str:
    """Return a note of a parent record's field, for the description of its property.

    Args:
        path: The field's path, such as `Account_Name.Phone`.
    """
    return f"{_NOTE}{path}."


def path_of(schema: Mapping[str, Any]) -> str | None:
    """Return the path that `path_note` recorded.

    Args:
        schema: JSON Schema of a property in a catalog.

    Returns:
        A path such as `Account_Name.Phone`; None if the property is the module's own field.
    """
    match = _noted(str(schema.get("description") or ""))
    return match[1] if match else None


@dataclass(frozen=True)
class ParentNames:
    """The name field of each module, as far as it is known.

    Args:
        modules: Zoho's metadata of the modules, by API name.
        fields: The fields of the modules whose fields discovery requested, by API name.
    """

    modules: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Mapping[str, Mapping[str, Any]] | None] = field(repr=False)

    def path(self, lookup: Mapping[str, Any]) -> str | None:
        """Return the path of the parent's name field through a lookup.

        Args:
            lookup: Zoho's metadata of the lookup field.

        Returns:
            A path such as `Account_Name.Account_Name`; None if the field is not a lookup, or the
            parent's name field is unknown.
        """
        data_type = str(lookup.get("data_type"))
        if data_type in _USER_LOOKUPS:
            return f"{lookup['api_name']}.{_USER_NAME}"
        parent = parent_module(lookup) if data_type in LOOKUPS else None
        name = self._name_field(parent) if parent is not None else None
        return f"{lookup['api_name']}.{name}" if name else None

    def missing(
        self, module: str, fields: Mapping[str, Mapping[str, Any]], paths: Iterable[str]
    ) -> Iterator[str]:
        """Yield a sentence for each related field that is certainly not there.

        Args:
            module: API name of the module.
            fields: Its fields, by API name.
            paths: Of the related fields, such as `Account_Name.Phone`.
        """
        for path in paths:
            lookup, _, name = path.partition(".")
            if lookup not in fields:
                yield f"{module} has no field `{lookup}` (`{path}`).{did_you_mean(lookup, fields)}"
                continue
            parent = parent_module(fields[lookup]) or ""
            of_parent = self.fields.get(parent)
            if of_parent and name not in {*of_parent, "id", "Id"}:
                similar = did_you_mean(name, of_parent)
                yield f"{parent} has no field `{name}` (`{path}` of {module}).{similar}"

    def _name_field(self, module: str) -> str | None:
        listed = self.modules.get(module, {})
        fields = self.fields.get(module)
        display_field = listed.get("display_field")
        candidates = [display_field.get("api_name") if isinstance(display_field, dict) else None]
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
    """Return the module that a lookup references.

    Args:
        lookup: Zoho's metadata of the lookup field.

    Returns:
        The module's API name; None if unknown.
    """
    described = lookup.get("lookup")
    module = described.get("module") if isinstance(described, dict) else None
    name = module.get("api_name") if isinstance(module, dict) else None
    return name if isinstance(name, str) and name else None
