"""Draw the documentation's pictures: `make pictures`. Only this needs Chromium."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from local_zoho_crm import Fault, Field, Organisation, ZohoServer
from tap_zoho_bulk.reporting.html_report import main as report
from tests.support import structured_log
from tests.support.singer import ROOT
from tests.support.terminal import TerminalTap
from tools.pictures import fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyte
    from pyte.screens import Char

    Line = Sequence[Char]

DOCS = ROOT / "docs"
SIZES = {
    "Accounts": 3_000,
    "Calls": 9_000,
    "Campaigns": 80,
    "Contacts": 24_000,
    "Deals": 60_000,
    "Events": 2_000,
    "Leads": 30_000,
    "Products": 700,
    "Quotes": 350,
    "Tasks": 4_000,
}
_COLUMNS, _LINES = 116, 27
_PLAN = ("-c", "from tap_zoho_bulk.plan.command import main; main()")
_PLAN_COLUMNS, _PLAN_LINES = 104, 60
_PLANNED = ["Accounts", "Contacts", "Deals", "Events", "Leads", "Quotes", "Quoted_Items", "Notes"]
_CELL = (9, 20)
"""Width and height of a character in pixels."""
_COLOURS = {
    "default": "#d8dee9",
    "black": "#3b4252",
    "red": "#e06c75",
    "green": "#7ec699",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c792ea",
    "cyan": "#56b6c2",
    "white": "#d8dee9",
    "brightblack": "#7f8a9e",
    "brightblue": "#6cb6ff",
}


def main() -> None:
    """Run the tap on a terminal, once, and draw what it showed and its log."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Chromium is not installed; it draws the pictures.")
    organisation = Organisation.generate(seed=7, sizes=SIZES)
    organisation.delete("Accounts", min(organisation.truth("Accounts")))
    server = ZohoServer(organisation, page_size=25_000, job_seconds=4, parallel_jobs=3)
    with server, tempfile.TemporaryDirectory() as place:
        server.faults.add(
            Fault(kind="ragged_row", module="Contacts"),
            Fault(kind="job_failure", module="Quotes", times=None),
        )
        folder = Path(place)
        planned = plan(folder)
        (folder / "plan.html").write_text(as_html(planned), encoding="utf-8")
        draw(browser, folder, "plan", picture_size(planned))
        terminal = run(server, folder)
        (folder / "terminal.html").write_text(terminal, encoding="utf-8")
        report([str(folder / "run.log"), "-o", str(folder / "report.html")])
        DOCS.mkdir(exist_ok=True)
        draw(browser, folder, "terminal", (_COLUMNS * _CELL[0] + 28, _LINES * _CELL[1] + 32))
        draw(browser, folder, "report", (1200, 1130))
        (folder / "fleet.html").write_text(fleet.page(), encoding="utf-8")
        draw(browser, folder, "fleet", (1280, 1245))


def run(server: ZohoServer, folder: Path) -> str:
    """Run the tap; its terminal at a busy moment, as HTML."""
    config = folder / "config.json"
    config.write_text(
        json.dumps(server.tap_config(poll_interval_seconds=0.4, downloads_per_minute=1000))
    )
    with TerminalTap(
        ["--config", str(config)],
        environment=structured_log.environment(folder),
        size=(_COLUMNS, _LINES),
    ) as tap:
        tap.wait_for(lambda lines: _is_telling("\n".join(lines)), seconds=600)
        picture = as_html(lines_of(tap.screen))
        tap.end(seconds=600)
    return picture


def _is_telling(shown: str) -> bool:
    """Return whether the view shows jobs of all kinds."""
    parts = (r"target \d\d%|decoding \d\d%", "IN PROGRESS|QUEUED", "waiting", "API credits$")
    return all(re.search(part, shown, re.MULTILINE) for part in parts)


def plan(folder: Path) -> list[Line]:
    """Plan the second sync of a small organisation, whose fields have changed since the catalog."""
    organisation = Organisation.generate(seed=7, only=_PLANNED, sizes={"Deals": 1_240})
    with ZohoServer(organisation) as server:
        config = folder / "plan.json"
        config.write_text(json.dumps(server.tap_config()))
        command = [sys.executable, "-m", "tap_zoho_bulk", "--config", str(config), "--discover"]
        catalog = folder / "catalog.json"
        catalog.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
        bookmark = {"replication_key": "Modified_Time", "replication_key_value": "2024-09-01"}
        state = folder / "state.json"
        state.write_text(json.dumps({"bookmarks": {"Contacts": bookmark, "Deals": bookmark}}))
        organisation.module("Contacts").fields["Region"] = Field("Region", "text", custom=True)
        with TerminalTap(
            ["--config", str(config), "--catalog", str(catalog), "--state", str(state)],
            program=_PLAN,
            stdout_too=True,
            size=(_PLAN_COLUMNS, _PLAN_LINES),
        ) as shown:
            shown.end()
            return lines_of(shown.screen)


def picture_size(lines: Sequence[Line]) -> tuple[int, int]:
    """Return the width and height in pixels of the picture of lines."""
    return len(lines[0]) * _CELL[0] + 28, len(lines) * _CELL[1] + 32


def lines_of(screen: pyte.HistoryScreen) -> list[Line]:
    """Return the lines of a terminal's screen, up to the last one that is not empty.

    Args:
        screen: The screen as it is now.
    """
    used = [number for number, text in enumerate(screen.display) if text.strip()]
    columns = range(screen.columns)
    return [[screen.buffer[number][x] for x in columns] for number in range(max(used) + 1)]


def as_html(shown: Sequence[Line]) -> str:
    """Return lines of a terminal as HTML.

    Args:
        shown: The lines.
    """
    lines = []
    for cells in shown:
        line = ""
        for cell in cells:
            colour = _COLOURS.get(cell.fg, f"#{cell.fg}")
            weight = ";font-weight:bold" if cell.bold else ""
            line += f'<span style="color:{colour}{weight}">{escape(cell.data)}</span>'
        lines.append(line)
    return (
        '<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;background:#1b1f27">'
        '<pre style="margin:16px;font:15px/20px DejaVu Sans Mono,monospace">'
        + "\n".join(lines)
        + "</pre></body>"
    )


def draw(browser: str, folder: Path, name: str, size: tuple[int, int]) -> None:
    """Draw a page into a picture with a browser.

    Args:
        browser: Path of its executable.
        folder: Contains the page.
        name: Name of the page and the picture, without suffix.
        size: Width and height in pixels.
    """
    subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            f"--user-data-dir={folder / f'browser-{name}'}",
            f"--window-size={size[0]},{size[1]}",
            f"--screenshot={DOCS / name}.png",
            (folder / f"{name}.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


if __name__ == "__main__":
    main()
