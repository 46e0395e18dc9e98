"""Figures of runs: a line of JSON for each run, in the organisation's folder.

figures/2026-11-26/064400-000000000012.json    of each run, by day and time (UTC)
latest.json                                    of the newest run that has ended
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoho_bulk_fleet.storage import Folder

LATEST = "latest.json"
_DAY = timedelta(days=1)


def name_of_run(began: datetime, term: int) -> str:
    """Return the path of what a run leaves, below the folder of its kind, without extension.

    Args:
        began: When the run began.
        term: The number of its lease's acquisition.
    """
    return f"{began:%Y-%m-%d/%H%M%S}-{term:012}"


def credits_since(folder: Folder, since: datetime, *, except_for: str = "") -> int:
    """Return the API credits of all runs that began in the day after an instant.

    Args:
        folder: The organisation's.
        since: The instant.
        except_for: A run that does not count, by what `name_of_run` returned.

    Raises:
        StorageError: If the storage fails.
    """
    total = 0
    for day in (since, since + _DAY):
        for path in folder.paths(f"figures/{day:%Y-%m-%d}"):
            if path == f"figures/{except_for}.json":
                continue
            figures = folder.read_json(path)
            if isinstance(figures, dict) and datetime.fromisoformat(figures["began"]) > since:
                total += figures["credits"]
    return total


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


def utc_now() -> datetime:
    """Return the time, in whole seconds."""
    return datetime.now(timezone.utc).replace(microsecond=0)
