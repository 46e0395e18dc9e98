"""The drift: how a catalog differs from what Zoho has by now, and when a sync looks.

A sync looks once a day, and never in its first run: the catalog is new then. That costs one API
credit, and one more for each selected module, where a job costs 50. Nothing cheaper tells: a result
has only the fields that were requested, and a module's `modified_time` is often empty.

Invariant: only what discovery would select by itself counts as new. Fields that bulk read cannot
export, fields of parent records, and what the tap adds to records are not drift.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.catalog.discovery import discover_modules, is_wanted
from tap_zoho_bulk.crm.field_types import COMPUTED, zoho_type
from tap_zoho_bulk.crm.related_fields import path_of
from tap_zoho_bulk.crm.timestamps import parse_instant, utc_or_none
from tap_zoho_bulk.exceptions import TapZohoBulkError
from tap_zoho_bulk.reporting.events import event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from tap_zoho_bulk.api.client import ZohoClient
    from tap_zoho_bulk.catalog.discovery import DiscoveredModule
    from tap_zoho_bulk.settings import Settings

    Properties = Mapping[str, Mapping[str, Any]]

CATALOG_CHECK = "catalog_check"
"""Key of STATE under which is kept when a sync last looked, and which drift it logged."""

_INTERVAL = timedelta(days=1)
_OWN = ("_sdc_", "$")
"""Properties that Zoho's metadata does not list begin so."""
_MAX_LISTED = 5

logger = logging.getLogger("tap-zoho-bulk.catalog")


@dataclass(frozen=True)
class Drift:
    """How a catalog differs from what Zoho has by now.

    Args:
        new_modules: Modules that the catalog lacks.
        gone_modules: Modules of the catalog that can no longer be read.
        new_fields: Fields that the catalog lacks, as `Module.Field`.
        gone_fields: Fields of the catalog that no longer exist, as `Module.Field`.
        retyped: Fields that have another type, as `Module.Field`, with both types.
    """

    new_modules: tuple[str, ...] = ()
    gone_modules: tuple[str, ...] = ()
    new_fields: tuple[str, ...] = ()
    gone_fields: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    @property
    def retypings(self) -> list[str]:
        """The fields that have another type, such as `Deals.Amount (currency, now text)`."""
        return [f"{name} ({old}, now {new})" for name, (old, new) in self.retyped.items()]

    def parts(self) -> Iterator[str]:
        """Yield what differs, kind by kind, in words."""
        for what, names in (
            ("new modules", self.new_modules),
            ("modules that can no longer be read", self.gone_modules),
            ("new fields", self.new_fields),
            ("fields that no longer exist", self.gone_fields),
            ("fields of another type", self.retypings),
        ):
            if names:
                more = len(names) - _MAX_LISTED
                yield f"{what}: {', '.join(names[:_MAX_LISTED])}" + (
                    f" and {more} more" if more > 0 else ""
                )


def compare(catalog: Mapping[str, Properties], found: Iterable[DiscoveredModule]) -> Drift:
    """Return how a catalog differs from what discovery finds.

    Args:
        catalog: Properties of each module's stream, by API name.
        found: The modules of the catalog that still exist, and those that it lacks.
    """
    modules = {module.api_name: module for module in found}
    known = {name: catalog[name] for name in catalog if name in modules}
    pairs = {name: (known[name], modules[name].schema["properties"]) for name in known}
    return Drift(
        new_modules=tuple(sorted(modules.keys() - known.keys())),
        gone_modules=tuple(sorted(catalog.keys() - known.keys())),
        new_fields=tuple(
            f"{name}.{each}"
            for name, (old, new) in pairs.items()
            for each in new
            if each not in old
            and each not in modules[name].unsupported
            and _is_listed(each, new[each])
        ),
        gone_fields=tuple(
            f"{name}.{each}"
            for name, (old, new) in pairs.items()
            for each in old
            if each not in new and _is_listed(each, old[each])
        ),
        retyped={
            f"{name}.{each}": types
            for name, (old, new) in pairs.items()
            for each in old
            if each in new and (types := _types(old[each], new[each])) is not None
        },
    )


def _is_listed(name: str, schema: Mapping[str, Any]) -> bool:
    """Return whether a property is a field of the module itself, in Zoho's list of them."""
    return not name.startswith(_OWN) and name != "id" and path_of(schema) is None


def _types(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the types of a property if they differ."""
    types = _type(old), _type(new)
    if None in types:  # The catalog was made by hand.
        types = _json_type(old), _json_type(new)
    before, now = types
    return (str(before), str(now)) if before != now else None


def _type(schema: Mapping[str, Any]) -> str | None:
    """Return Zoho's type, with what it returns if it is computed; None if it is unknown."""
    name = zoho_type(schema)
    return f"{name} of {_json_type(schema)}" if name in COMPUTED else name


def _json_type(schema: Mapping[str, Any]) -> str:
    types = schema.get("type", ())
    listed = [types] if isinstance(types, str) else [each for each in types if each != "null"]
    return " ".join(filter(None, (*map(str, listed), schema.get("format"))))


def check_catalog(
    client: ZohoClient,
    settings: Settings,
    *,
    selected: Mapping[str, Properties],
    known: Collection[str],
    kept: Any,
) -> dict[str, Any]:
    """Log what the catalog lacks by now, once a day and each difference once; never fail.

    Args:
        client: Zoho's API.
        settings: The run's settings.
        selected: Properties of each selected module's stream, by API name.
        known: Names of all modules of the catalog.
        kept: What STATE keeps of the last look, or anything else.

    Returns:
        What STATE is to keep.

    Raises:
        StoppedError: When the run is shutting down.
    """
    now = datetime.now(timezone.utc)
    before: dict[str, Any] = kept if isinstance(kept, dict) else {}
    last = utc_or_none(before.get("at"))
    if last is None:
        return {"at": now.isoformat(timespec="seconds")}
    if abs(now - parse_instant(last)) < _INTERVAL:
        return before
    checked = {**before, "at": now.isoformat(timespec="seconds")}

    def wanted(name: str) -> bool:
        return name in selected or (name not in known and is_wanted(name, settings))

    try:
        found = discover_modules(client, settings, wanted=wanted, skip=lambda *_: None)
    except TapZohoBulkError as error:
        logger.info("It is unknown whether the catalog is out of date. %s", error)
        return checked
    drift = compare(selected, found)
    digest = hashlib.sha256(json.dumps(asdict(drift), sort_keys=True).encode()).hexdigest()[:16]
    if drift and digest != before.get("logged"):
        logger.warning(
            "The catalog is out of date: %s. To read what is new, discover it again with "
            "`tap-zoho-bulk --discover`, or with Meltano by `meltano run --refresh-catalog`; "
            "`tap-zoho-bulk-plan` lists all differences.",
            "; ".join(drift.parts()),
            extra=event("catalog_outdated", **asdict(drift)),
        )
    return {**checked, "logged": digest}
