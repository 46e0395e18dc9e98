"""The fleet's page, parsed as a browser parses it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from typing_extensions import override

HEADINGS = ["organisation", "outcome", "last ok", "lag", "began (UTC)", "time", "records"]
HEADINGS += ["records in 24 h", "credits", "credits in 24 h", "memory"]


class Html(HTMLParser):
    """The tables and texts of a page, as a browser parses it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.policy = ""
        self.tables: list[list[list[str]]] = []
        self.keys: list[list[str | None]] = []
        self.inline: dict[str, str] = {}
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given_attributes = dict(attrs)
        self.tags.add(tag)
        self.attributes |= given_attributes.keys()
        if tag == "meta":
            if given_attributes.get("http-equiv") == "Content-Security-Policy":
                self.policy = given_attributes["content"] or ""
            return
        self._open.append(tag)
        if tag == "table":
            self.tables.append([])
            self.keys = []
        elif tag == "tr":
            self.tables[-1].append([])
            self.keys.append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self.keys[-1].append(given_attributes.get("data-key"))

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"style", "script"}:
            self.inline[self._open[-1]] = data
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def organisations(self) -> dict[str, dict[str, str]]:
        """Return the rows of the table of organisations, in the page's order."""
        headings, *rows = [[" ".join(cell.split()) for cell in row] for row in self.tables[-1]]
        assert headings == HEADINGS
        return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}

    def tiles(self) -> dict[str, str]:
        """Return the headline figures."""
        found = re.findall(r"([\d,]+)\n?([a-zA-Z][^\n]*)\n", self.text.partition("Outcomes")[0])
        return {what: number for number, what in found}
