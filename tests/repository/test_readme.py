"""What README quotes is what the tap says."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tap_zoho_bulk.crm.scopes import SCOPE_TEXT, SCOPES
from tap_zoho_bulk.login.command import PORT
from tests.support.login import redirect_uri
from tests.support.singer import ROOT

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


def connect() -> str:
    """How README says to connect an account."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme.partition("## Connect your account")[2].partition("\n## ")[0]


def test_readme_lists_the_scopes_and_what_each_is_for() -> None:
    assert f"     {SCOPE_TEXT}\n" in connect()
    assert re.findall(r"^ *\| `(ZohoCRM\S+)` \| (.*) \|$", connect(), re.MULTILINE) == [
        (scope.name, scope.purpose) for scope in SCOPES
    ]
    assert [scope.required for scope in SCOPES] == [True] * 4 + [False] * (len(SCOPES) - 4)


def test_readme_names_the_redirect_uri() -> None:
    assert f"`{redirect_uri(PORT)}`" in connect()


def test_every_scope_that_the_tap_names_is_listed() -> None:
    named = {
        scope
        for saying in sayings()
        for scope in re.findall(r"ZohoCRM(?:\.\w+)+\.(?:READ|ALL)", saying)
    }

    assert named == {scope.name for scope in SCOPES}


def test_contributing_names_each_file_of_the_tap_once() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    trail = text.partition("## The trail of a record")[2].partition("\nWhere a change belongs")[0]
    rows = re.findall(r"^\| (`.*?) \|", trail, re.MULTILINE)
    named = [name for row in rows for name in row.split("`")[1::2]]
    named += re.findall(r"^[ │├─]*([\w/]+\.py) ", trail, re.MULTILINE)
    package = ROOT / "tap_zoho_bulk"
    files = {
        file.relative_to(package).as_posix()
        for pattern in ("*.py", "*.html")
        for file in package.rglob(pattern)
        if file.name != "__init__.py"
    }

    assert sorted(named) == sorted(files)
