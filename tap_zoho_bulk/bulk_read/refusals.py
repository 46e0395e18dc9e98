"""The refusals: fields that Zoho named when it refused a job, which later runs leave out at once.

Invariant: a field is requested again after `REFUSAL_LIFE`, and as soon as the request differs in
more than its time. So a field that Zoho exports later comes back.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.crm.timestamps import parse_instant, utc_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSALS = "refused_fields"
"""Key of a stream's state under which they are kept."""
REFUSAL_LIFE = timedelta(days=30)
"""How long a field that Zoho refused is not requested."""


def refusals_from_state(state: Any, request: str) -> dict[str, str]:
    """Return the fields that Zoho refused lately, and when, in UTC form.

    Args:
        state: As `refusals_to_state` returned it, or anything else.
        request: Fingerprint of what is to be requested.
    """
    if not isinstance(state, dict) or state.get("request") != request:
        return {}
    fields = state.get("fields")
    now = datetime.now(timezone.utc)
    refused = {
        name: instant
        for name, value in (fields.items() if isinstance(fields, dict) else ())
        if (instant := utc_or_none(value)) is not None
    }
    return {
        name: instant
        for name, instant in refused.items()
        if abs(now - parse_instant(instant)) < REFUSAL_LIFE
    }


def refusals_to_state(refused: Mapping[str, str | None], request: str) -> dict[str, Any]:
    """Return what STATE keeps.

    Args:
        refused: The fields, and when Zoho refused each.
        request: Fingerprint of what was requested.
    """
    return {"request": request, "fields": {**refused}}
