"""Figures of runs: a line of JSON for each run, in the organisation's folder.

figures/2026-11-26/064400-000000000012.json    of each run, by day and time (UTC)
latest.json                                    of the newest run that has ended
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from zoho_bulk_fleet.storage import ORGANISATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoho_bulk_fleet.storage import Folder

LATEST = "latest.json"
MAX_FIGURES_BYTES = 64 * 1024
"""The maximum length of one organisation's newest figures, for those who read them."""
NO_RUN = "no run yet"
"""What stands for the outcome of an organisation without figures."""
UNREADABLE = "no figures"
"""What stands for the outcome of an organisation whose figures cannot be read."""

_DAY = timedelta(days=1)
_REQUESTS = 32
_BATCH = 512
"""How many organisations' figures are in memory before they are used."""


def name_of_run(began: datetime, term: int) -> str:
    """Return the path of what a run leaves, below the folder of its kind, without extension.

    Args:
        began: When the run began.
        term: The number of its lease's acquisition.
    """
    return f"{began:%Y-%m-%d/%H%M%S}-{term:012}"


def totals_since(folder: Folder, since: datetime) -> Counter[str]:
    """Return the `credits` and `records` of all runs that ended in the day after an instant.

    Args:
        folder: The organisation's.
        since: The instant.

    Raises:
        StorageError: If the storage fails.
    """
    totals: Counter[str] = Counter()
    for day in (since - _DAY, since, since + _DAY):  # As a run may have begun on the day before.
        for path in folder.paths(f"figures/{day:%Y-%m-%d}"):
            figures = folder.read_json(path)
            with suppress(KeyError, TypeError, ValueError):  # It is not a run's.
                seconds = timedelta(seconds=figures["seconds"])
                if datetime.fromisoformat(figures["began"]) + seconds > since:
                    totals.update({key: figures[key] for key in ("credits", "records")})
    return totals


def write_figures(
    folder: Folder, run: str, figures: dict[str, Any], *, newest: bool = False
) -> None:
    """Store the figures of a run.

    Args:
        folder: The organisation's.
        run: What `name_of_run` returned.
        figures: The figures.
        newest: Whether the run has ended, as the newest one.

    Raises:
        StorageError: If the storage fails.
    """
    line = (json.dumps(figures) + "\n").encode()
    folder.write(f"figures/{run}.json", line)
    if newest:
        folder.write(LATEST, line)


def latest_figures(fleet: Folder) -> Iterator[dict[str, Any]]:
    """Yield the newest figures of each organisation, sorted by its name.

    An organisation without figures, or with figures that cannot be read, has an outcome and a
    message that say so.

    Args:
        fleet: The fleet's folder.

    Raises:
        StorageError: If the storage fails.
    """
    names = fleet.folders(ORGANISATIONS)

    def read(name: str) -> bytes | None:
        return fleet.read(f"{ORGANISATIONS}/{name}/{LATEST}", MAX_FIGURES_BYTES)

    with ThreadPoolExecutor(_REQUESTS) as pool:
        for first in range(0, len(names), _BATCH):
            batch = names[first : first + _BATCH]
            for name, content in zip(batch, pool.map(read, batch), strict=True):
                yield {**_parsed(content), "organisation": name}


def _parsed(content: bytes | None) -> dict[str, Any]:
    if content is None:
        return {"outcome": NO_RUN, "message": "No run has ended."}
    if len(content) >= MAX_FIGURES_BYTES:
        why = f"has {MAX_FIGURES_BYTES:,} bytes or more"
    else:
        try:
            figures = json.loads(content)
        except (ValueError, RecursionError):
            figures = None
        if isinstance(figures, dict):
            return figures
        why = "is not a JSON object"
    return {"outcome": UNREADABLE, "message": f"{LATEST} {why}. The next run replaces it."}


def utc_now() -> datetime:
    """Return the time, in whole seconds."""
    return datetime.now(timezone.utc).replace(microsecond=0)
