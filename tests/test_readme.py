"""What README quotes is what the tap says."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.singer import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACEHOLDER = "\0"


def sayings() -> Iterator[str]:
    """All texts in the tap's code, with something in place of what is filled in."""
    for file in (ROOT / "tap_zoho_bulk").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%(?:\.\d)?[sdf]", PLACEHOLDER, node.value)


def quotes() -> list[str]:
    """The messages in README's table of troubles."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Troubleshooting")[2].partition("\n## ")[0]
    return [
        quote
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for quote in row.split("`")[1::2]
    ]


@pytest.mark.parametrize("quote", quotes())
def test_the_tap_says_what_readme_quotes(quote: str) -> None:
    said = list(sayings())
    parts = [part.strip() for part in re.split(r"…|\b[NM]\b|: (?=[A-Z]|invalid)", quote)]

    for part in filter(None, parts):
        assert [text for text in said if part in text], part
