"""`tap-zoho-bulk-report`, and the page that it writes, parsed as a browser parses it."""

from __future__ import annotations

import subprocess
import sysconfig
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "footer", "h1", "h2", "p", "div"),
    *("span", "b", "svg", "rect", "path", "table", "thead", "tbody", "tfoot", "tr", "th", "td"),
    *("ul", "li"),
}


class Html(HTMLParser):
    """The tables and texts of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.tables: list[list[list[str]]] = []
        self.titles: list[str] = []
        self.bars: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._lane = ""
        self.text = ""
        self.feed(text)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes |= given.keys()
        if tag != "meta":
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            if given.get("title"):
                self.titles.append(given["title"] or "")
        elif tag == "svg":
            self._lane = given.get("aria-label") or ""
        elif tag == "rect" and self._lane:
            self.bars.setdefault(self._lane, []).append(given["class"] or "")

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "svg":
            self._lane = ""

    @override
    def handle_data(self, data: str) -> None:
        if {"style", "title"} & set(self._open):
            return
        self.text += data
        if self._open[-1:] and {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def streams(self) -> dict[str, dict[str, str]]:
        """Return the rows of the table of streams, by stream."""
        headings, *rows = [[cell.strip() for cell in row] for row in self.tables[0]]
        return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


def report(*arguments: str | Path, log: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command and return its output."""
    return subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "tap-zoho-bulk-report", *arguments],
        input=log,
        capture_output=True,
        check=False,
    )


def page(log: bytes, *arguments: str) -> Html:
    """Run the command on a log, and return the parsed page."""
    made = report(*arguments, log=log)
    assert made.returncode == 0, made.stderr
    return Html(made.stdout.decode())


def number(text: str) -> int:
    return int(text.replace(",", ""))


def zoho_says(server: ZohoServer, module: str) -> tuple[int, int]:
    """Return the server's own count of a module's jobs, and of the bytes of their results."""
    jobs = [job for job in server.jobs if job.module == module]
    return len(jobs), sum(job.outcome.file.stat().st_size for job in jobs if job.outcome)
