"""When a run discovers the catalog again."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from zoho_bulk_fleet import Fleet, Organisation, Outcome, run
from zoho_bulk_fleet.storage import Folder

if TYPE_CHECKING:
    from pathlib import Path

TAP = """
import os, sys
if "--discover" in sys.argv:
    os.write(os.open(sys.argv[1], os.O_APPEND | os.O_WRONLY | os.O_CREAT), b"x")
    print("{}")
else:
    sys.exit(int(sys.argv[2]))
"""


class Discoveries:
    """Runs whose discoveries are counted."""

    def __init__(self, folder: Path) -> None:
        self.storage = (folder / "storage").as_uri()
        self.counted = folder / "discoveries"

    def run(self, settings: dict[str, Any], exit_code: int = 0) -> tuple[int, Outcome]:
        """Return how many discoveries there have been after a run, and how it ended."""
        tap = (sys.executable, "-IS", "-c", TAP, str(self.counted), str(exit_code))
        result = run(Organisation("acme", settings), Fleet(self.storage, tap=tap))
        return self.counted.stat().st_size, result.outcome


def test_a_catalog_is_kept_until_settings_change_or_a_day_later(tmp_path: Path) -> None:
    discoveries = Discoveries(tmp_path)
    settings = {"modules": ["Leads"], "refresh_token": "1"}

    assert discoveries.run(settings) == (1, Outcome.OK)
    # New credentials, and another limit, change no catalog.
    assert discoveries.run({**settings, "refresh_token": "2", "api_credit_limit": 9}) == (
        1,
        Outcome.OK,
    )
    assert discoveries.run({**settings, "modules": ["Deals"]}) == (2, Outcome.OK)

    folder = Folder(discoveries.storage, "acme")
    discovered = folder.read_json("discovered.json")
    yesterday = datetime.now(timezone.utc) - timedelta(hours=25)
    folder.write("discovered.json", json.dumps({**discovered, "at": str(yesterday)}).encode())
    assert discoveries.run({**settings, "modules": ["Deals"]}) == (3, Outcome.OK)


def test_a_catalog_that_may_be_wrong_is_discovered_again(tmp_path: Path) -> None:
    discoveries = Discoveries(tmp_path)

    assert discoveries.run({}, exit_code=78) == (1, Outcome.FIX_FIRST)
    assert discoveries.run({}, exit_code=75) == (2, Outcome.TRY_AGAIN_LATER)
    assert discoveries.run({}) == (2, Outcome.OK)
