"""A run's structured log, configured as the documentation says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_zoho_bulk.reporting.events import event_of
from tests.support.singer import ROOT

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable
    from pathlib import Path

    from tap_zoho_bulk.reporting.events import Kind
    from tests.support.singer import Json

NAME = "run.log"


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which the tap writes `run.log` in a folder.

    Args:
        folder: Also gets the documentation's `logging.yaml`.
    """
    page = (ROOT / "docs" / "watch.md").read_text(encoding="utf-8")
    config = page.partition("```yaml\nversion: 1\n")[2].partition("```")[0]
    assert config.count(f"filename: {NAME},") == 1
    file = folder / "logging.yaml"
    place = f"filename: {folder / NAME},"
    file.write_text(f"version: 1\n{config}".replace(f"filename: {NAME},", place))
    return {"SINGER_SDK_LOG_CONFIG": str(file)}


def events_of(records: Iterable[logging.LogRecord], kind: Kind) -> list[Json]:
    """Return the events of a kind among log records."""
    found = [event_of(record) or {} for record in records]
    return [each for each in found if each.get("kind") == kind]
