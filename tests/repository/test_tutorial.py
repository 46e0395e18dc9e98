"""The tutorial's commands work as written, and print what it quotes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.singer import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
STRICT = "set -euo pipefail\n"


def blocks(language: str) -> list[str]:
    """Return the tutorial's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL, re.DOTALL | re.MULTILINE)


def clone(folder: Path) -> Path:
    """Create what the tutorial needs of a clone, with this environment as the installed one."""
    packages = (ROOT / "local-zoho-crm", ROOT / "deploy" / "fleet", ROOT)
    for file in (ROOT / "Makefile", *(package / "pyproject.toml" for package in packages)):
        name = file.relative_to(ROOT)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / ".venv" / "installed").touch()
    return folder


def messages(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Return a file's records by stream."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in file.read_bytes().splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            found.setdefault(message["stream"], []).append(message["record"])
    return found


def test_the_tutorial_works_as_it_stands(tmp_path: Path, port: int) -> None:
    with subprocess.Popen(
        ["bash", "-c", STRICT + "".join(blocks("sh"))],
        cwd=clone(tmp_path),
        env={**os.environ, "LOCAL_ZOHO_CRM_PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            printed, log = shell.communicate(timeout=120)
        finally:
            # The server in the background outlives a shell that fails.
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, log

    place = 0
    for expected in blocks("text"):
        place = printed.index(expected, place) + len(expected)
    made = tmp_path / "build" / "tutorial"
    first, second, third = (
        messages(made / f"{name}.jsonl") for name in ("first", "second", "third")
    )
    (lead,) = second["Leads"]
    assert (lead["Last_Name"], lead["Company"]) == ("Smith", "ACME")
    assert len(first["Leads"]) == 31
    assert lead["id"] in {record["id"] for record in first["Leads"]}
    assert {**first, **second}.keys() == {"Leads"}
    assert third.keys() == {"deleted_records"}
    assert [record["id"] for record in third["deleted_records"]] == [lead["id"]]
