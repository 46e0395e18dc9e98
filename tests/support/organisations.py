"""Small organisations, whose modules have few fields, for tests that run the tap very often."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local_zoho_crm import Field, Module, Organisation
from tests.support.singer import FAST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

QUICK: dict[str, Any] = {**FAST, "poll_interval_seconds": 0.01, "max_poll_interval_seconds": 0.05}
"""Settings with which a run takes a fraction of a second if the server is fast."""

_EPOCH = datetime(2024, 1, 1, tzinfo=timezone.utc)


def small_module(api_name: str, *, dated: bool = True) -> Module:
    """Create a module with four fields, or three without Modified_Time."""
    fields = [
        Field("Name", "text", label="Name"),
        Field("Amount", "currency", label="Amount", decimal_place=2),
        Field("Notes", "textarea", label="Notes"),
    ]
    if dated:
        fields.append(Field("Modified_Time", "datetime", label="Modified Time"))
    return Module.of(api_name, *fields, generated_type="custom", display_field="Name")


def small_organisation(
    sizes: Mapping[str, int], *, undated: Iterable[str] = (), seed: int = 1
) -> Organisation:
    """Create an organisation with small modules of these sizes."""
    organisation = Organisation(seed=seed)
    without_date = set(undated)
    for name, size in sizes.items():
        module = organisation.add_module(small_module(name, dated=name not in without_date))
        rng = random.Random(f"{seed}:{name}")
        for number in range(size):
            record_id = organisation.new_id()
            module.records[record_id] = {
                "id": record_id,
                "Name": f"{name} {number}",
                "Amount": Decimal(rng.randrange(10**6)).scaleb(-2),
                "Notes": rng.choice([None, "plain", 'with "quotes", and\nlines']),
            }
            if name not in without_date:
                changed = _EPOCH + timedelta(minutes=rng.randrange(10**6))
                module.records[record_id]["Modified_Time"] = changed
    return organisation


def catalog(
    organisation: Organisation, *, method: str | None = None, deleted: bool = False
) -> dict[str, Any]:
    """Return the catalog that discovery would return for small modules.

    Args:
        organisation: Of small modules.
        method: Replication method of all modules; by default discovery's choice.
        deleted: Whether to select `deleted_records`.
    """
    streams = [_entry(module, method) for module in organisation.modules.values()]
    if deleted:
        streams.append(_deleted_entry())
    return {"streams": streams}


def _entry(module: Module, method: str | None) -> dict[str, Any]:
    dated = "Modified_Time" in module.fields
    kinds: dict[str, dict[str, Any]] = {
        "currency": {"type": ["number", "null"]},
        "datetime": {"type": ["string", "null"], "format": "date-time"},
    }
    properties = {"id": {"type": ["string"]}} | {
        name: kinds.get(field.data_type, {"type": ["string", "null"]})
        for name, field in module.fields.items()
    }
    chosen = method or ("INCREMENTAL" if dated else "FULL_TABLE")
    return _stream(module.api_name, properties, ["id"], "Modified_Time" if dated else None, chosen)


def _deleted_entry() -> dict[str, Any]:
    texts = (
        *("module", "id", "display_name", "type", "deleted_by_id", "deleted_by_name"),
        *("created_by_id", "created_by_name"),
    )
    properties: dict[str, dict[str, Any]] = {
        name: {"type": ["string"] if name in ("module", "id") else ["string", "null"]}
        for name in texts
    }
    properties["deleted_time"] = {"type": ["string", "null"], "format": "date-time"}
    return _stream("deleted_records", properties, ["module", "id"], "deleted_time", "INCREMENTAL")


def _stream(
    name: str, properties: dict[str, Any], keys: list[str], key: str | None, method: str
) -> dict[str, Any]:
    selected = {"breadcrumb": [], "metadata": {"selected": True, "inclusion": "available"}}
    each = [
        {"breadcrumb": ["properties", field], "metadata": {"inclusion": "available"}}
        for field in properties
    ]
    return {
        "tap_stream_id": name,
        "stream": name,
        "schema": {"type": "object", "properties": properties},
        "key_properties": keys,
        "replication_key": key if method == "INCREMENTAL" else None,
        "replication_method": method,
        "metadata": [selected, *each],
    }
