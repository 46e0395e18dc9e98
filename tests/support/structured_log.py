"""A run's structured log, configured as the documentation says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.singer import ROOT

if TYPE_CHECKING:
    from pathlib import Path

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
