"""A run's structured log, had as README says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.singer import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NAME = "run.log"


def environment(folder: Path) -> dict[str, str]:
    """The environment in which the tap writes `run.log` in a folder.

    Args:
        folder: Where README's `logging.yaml` is written, too.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    config = readme.partition("```yaml\nversion: 1\n")[2].partition("```")[0]
    assert config.count(f"filename: {NAME},") == 1
    file = folder / "logging.yaml"
    place = f"filename: {folder / NAME},"
    file.write_text(f"version: 1\n{config}".replace(f"filename: {NAME},", place))
    return {"SINGER_SDK_LOG_CONFIG": str(file)}
