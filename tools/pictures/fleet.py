"""A fleet that exists only in a picture: figures as runs of 48 organisations leave them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from zoho_bulk_fleet import Outcome
from zoho_bulk_fleet.page import fleet_page

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOW = datetime(2026, 11, 26, 9, 30, tzinfo=timezone.utc)
_FIRST = ["Alder", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Grove", "Harbor"]
_SECOND = ["clinics", "energy", "foods", "freight", "homes", "tools"]
_FAILED: dict[str, dict[str, Any]] = {
    "cedar-freight": {
        "outcome": Outcome.FIX_FIRST.value,
        "message": "Zoho refuses the refresh token (invalid_code). Sign in again with "
        "tap-zoho-bulk-login.",
        "records": 0,
        "credits": 0,
        "hours": 19.2,
    },
    "grove-homes": {
        "outcome": Outcome.FAILED.value,
        "message": "The loader failed with exit code 1: No space left on device.",
        "hours": 3.1,
    },
    "ember-foods": {
        "outcome": Outcome.STREAMS_FAILED.value,
        "message": "Zoho has no longer a custom view Open Deals.",
        "failed_streams": ["deals"],
        "hours": 1.4,
    },
    "fjord-energy": {
        "outcome": Outcome.INCOMPLETE.value,
        "message": "The 20000 API credits of 24 hours are spent.",
        "credits_24h": 20_000,
        "hours": 4.6,
    },
    "birch-tools": {
        "outcome": Outcome.TRY_AGAIN_LATER.value,
        "message": "Zoho has no job slots left for this organisation.",
        "retry_after_seconds": 900.0,
        "records": 0,
        "hours": 0.5,
    },
}
"""How the newest runs ended that were not ok, and how long ago the last one began that was."""


def page() -> str:
    """Return the fleet's page."""
    return fleet_page(_figures(random.Random(11)), now=_NOW)


def _figures(rng: random.Random) -> Iterator[dict[str, Any]]:
    for name in (f"{first.lower()}-{second}" for first in _FIRST for second in _SECOND):
        ended = _FAILED.get(name, {})
        began = _NOW - timedelta(minutes=rng.uniform(1, 15))
        last_ok = _NOW - timedelta(hours=ended["hours"]) if ended else began
        size = rng.lognormvariate(5.5, 1.2)
        yield {
            "outcome": Outcome.OK.value,
            "began": began.isoformat(),
            "seconds": 6 + size / 40,
            "records": round(size),
            "records_24h": round(size * rng.uniform(60, 96)),
            "credits": 50 * rng.randint(4, 14),
            "credits_24h": 50 * round(rng.lognormvariate(5.6, 0.8)),
            "newest_bookmark": (last_ok - timedelta(minutes=rng.uniform(0, 40))).isoformat(),
            "last_ok": last_ok.isoformat(),
            "peak_memory_bytes": rng.uniform(85, 160) * 1e6,
            **ended,
            "organisation": name,
        }
