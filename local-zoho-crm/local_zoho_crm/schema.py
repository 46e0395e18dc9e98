"""The parts of a Zoho organisation: modules, fields, custom views, deleted records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from local_zoho_crm.organisation import Organisation

Record = dict[str, Any]
"""Typed values by API name: str, int, Decimal, bool, date, aware datetime, list[str], None."""

Kind = Literal[
    "text",
    "textarea",
    "integer",
    "bigint",
    "number",
    "boolean",
    "date",
    "datetime",
    "lookup",
    "list",
]
"""How a value is stored, compared and formatted, independent of Zoho's name for its type."""

_KINDS: dict[str, Kind] = {
    "textarea": "textarea",
    "integer": "integer",
    "bigint": "bigint",
    "double": "number",
    "decimal": "number",
    "currency": "number",
    "percent": "number",
    "number": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "lookup": "lookup",
    "ownerlookup": "lookup",
    "userlookup": "lookup",
    "multiselectpicklist": "list",
}

NOT_EXPORTED = frozenset(
    {
        "consent_lookup",
        "fileupload",
        "imageupload",
        "multiselectlookup",
        "multiuserlookup",
        "profileimage",
        "subform",
    }
)
"""Data types that bulk read does not export."""

USERS = "users"
"""The target of owner and user lookups."""


_NOT_EXPORTABLE_VIEWS = frozenset({"Co-owner", "Shared by me", "Shared to me"})


@dataclass(kw_only=True)
class CustomView:
    """A custom view: a named filter that `cvid` refers to."""

    id: str
    name: str
    system_name: str | None = None
    criteria: dict[str, Any] | None = None

    @property
    def exportable(self) -> bool:
        """Return whether bulk read can export the view: it cannot those of shared records."""
        return self.system_name is None or self.name not in _NOT_EXPORTABLE_VIEWS


@dataclass
class Field:
    """A field of a module, for metadata and for bulk read.

    Attributes:
        lookup: API name of a lookup's module.
        return_type: The type of a formula's or rollup summary's result.
        rejected: Whether bulk read refuses the field although metadata lists it.
        listed: False for fields such as `$converted`, which are exported only by name.
        restricted: Whether the API leaves the field empty, as it does for health data.
        metadata: Keys that replace the generated JSON of the fields call; `...` removes a key.
    """

    api_name: str
    data_type: str
    label: str = ""
    mandatory: bool = False
    length: int | None = None
    decimal_place: int | None = None
    return_type: str | None = None
    lookup: str | None = None
    pick_list: tuple[str, ...] = ()
    custom: bool = False
    visible: bool = True
    rejected: bool = False
    listed: bool = True
    restricted: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def is_tag(self) -> bool:
        """Return whether the field holds the record's tags."""
        return self.api_name == "Tag"

    @property
    def is_computed(self) -> bool:
        """Return whether Zoho computes the value, which does not change Modified_Time."""
        return self.data_type in ("formula", "rollup_summary")

    @property
    def kind(self) -> Kind:
        """Return the kind of the field's values."""
        if self.is_tag:
            return "list"
        if self.is_computed:
            return _KINDS.get(self.return_type or "text", "text")
        return _KINDS.get(self.data_type, "text")

    @property
    def exportable(self) -> bool:
        """Return whether bulk read exports the field."""
        return not self.rejected and self.data_type not in NOT_EXPORTED

    @property
    def target(self) -> str | None:
        """Return the API name of the module that a lookup points to."""
        if self.data_type in ("ownerlookup", "userlookup"):
            return USERS
        return self.lookup if self.data_type == "lookup" else None


@dataclass
class DeletedRecord:
    """A row of a module's list of deleted records."""

    id: str
    display_name: str
    type: Literal["recycle", "permanent"]
    deleted_time: datetime
    deleted_by: str
    created_by: str


@dataclass
class Module:
    """A module, its metadata and its records.

    Attributes:
        fields_error: The error of the fields call: "empty" for 204, else a Zoho error code.
        bulk_error: The error code with which bulk read refuses the module.
        omitted: Ids of records that are counted but not exported.
    """

    api_name: str
    fields: dict[str, Field] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    generated_type: str = "default"
    singular_label: str = ""
    plural_label: str = ""
    parent_module: str | None = None
    api_supported: bool = True
    viewable: bool = True
    visible: bool = True
    fields_error: str | None = None
    bulk_error: str | None = None
    display_field: str | None = None
    custom_views: list[CustomView] = field(default_factory=list)
    omitted: set[str] = field(default_factory=set)
    trash: dict[str, Record] = field(default_factory=dict, repr=False)
    deleted: dict[str, DeletedRecord] = field(default_factory=dict, repr=False)
    id: str = ""

    @classmethod
    def of(cls, api_name: str, *fields: Field, **attributes: Any) -> Module:
        """Create a module with these fields."""
        return cls(api_name, {each.api_name: each for each in fields}, **attributes)

    @property
    def is_subform(self) -> bool:
        """Return whether the records are the rows of a subform."""
        return self.generated_type == "subform"

    @property
    def exportable_fields(self) -> list[Field]:
        """Return the fields that bulk read exports if a query names none."""
        return [each for each in self.fields.values() if each.exportable and each.listed]

    def display_name(self, record: Record) -> str:
        """Return the record's name as lists show it."""
        return str((self.display_field and record.get(self.display_field)) or record["id"])


@dataclass(frozen=True)
class Path:
    """A field as a query names it: `Phone`, or `Account_Name.Phone` through a lookup."""

    name: str
    field: Field
    via: Field | None = None

    def value(self, organisation: Organisation, record: Record) -> Any:
        """Return the value at this path, or None if the lookup is empty or dangling."""
        if self.via is None:
            value = record.get(self.field.api_name)
        else:
            parent = organisation.parent(self.via, record)
            value = parent and parent.get(self.field.api_name)
        if self.field.restricted or value in ("", []):
            return None
        return value
