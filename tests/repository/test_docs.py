"""Messages that the documentation quotes are the tap's, and what it names exists."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tap_zoho_bulk.crm.scopes import SCOPE_TEXT, SCOPES
from tap_zoho_bulk.login.command import DEFAULT_PORT
from tests.support.login import redirect_uri
from tests.support.singer import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACEHOLDER = "\0"


def sayings() -> Iterator[str]:
    """Yield all texts in the tap's code, with a placeholder for each inserted value."""
    for file in (ROOT / "tap_zoho_bulk").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%(?:\.\d)?[sdf]", PLACEHOLDER, node.value)


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def quotes() -> list[str]:
    """Return the messages in the table of troubles."""
    table = text_of("docs/troubleshooting.md")
    return [
        quote
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for quote in row.split("`")[1::2]
    ]


@pytest.mark.parametrize("quote", quotes())
def test_the_tap_says_what_troubleshooting_quotes(quote: str) -> None:
    said = list(sayings())
    parts = [part.strip() for part in re.split(r"…|\b[NM]\b|: (?=[A-Z]|invalid)", quote)]

    for part in filter(None, parts):
        assert [text for text in said if part in text], part


def test_the_docs_list_the_scopes_and_what_each_is_for() -> None:
    connect = text_of("docs/connect.md")
    assert f"     {SCOPE_TEXT}\n" in connect
    assert re.findall(r"^ *\| `(Zoho\w+\.\S+)` \| (.*) \|$", connect, re.MULTILINE) == [
        (scope.name, scope.purpose) for scope in SCOPES
    ]
    assert [scope.required for scope in SCOPES] == [True] * 4 + [False] * (len(SCOPES) - 4)


@pytest.mark.parametrize("page", ["README.md", "docs/connect.md"])
def test_the_docs_name_the_redirect_uri(page: str) -> None:
    assert f"`{redirect_uri(DEFAULT_PORT)}`" in text_of(page)


def test_every_scope_that_the_tap_names_is_listed() -> None:
    named = {
        scope
        for saying in sayings()
        for scope in re.findall(r"Zoho\w+(?:\.\w+)+\.(?:READ|ALL)", saying)
    }

    assert named == {scope.name for scope in SCOPES}


def test_readme_takes_three_minutes() -> None:
    assert len(text_of("README.md").splitlines()) <= 200


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text_of(page))
    dead = [link for link in links if "://" not in link and not (ROOT / link).exists()]

    assert links
    assert not dead


def test_contributing_finds_a_place_for_each_file_of_the_tap() -> None:
    table = text_of("CONTRIBUTING.md").partition("## Where a change belongs")[2].partition("\n#")[0]
    named = [
        name
        for place in re.findall(r"^\| .* \| (`.*) \|$", table, re.MULTILINE)
        for name in re.findall(r"`([\w/.]+)`", place)
    ]
    package = ROOT / "tap_zoho_bulk"
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in package.iterdir()
        if path.name not in {"__init__.py", "__pycache__", "py.typed"}
    }

    assert there <= set(named) - {"make"}
    assert not [name for name in named if name.endswith((".py", "/")) and name not in there]


def test_the_trail_of_a_record_names_files() -> None:
    trail = text_of("CONTRIBUTING.md").partition("### The trail of a record")[2]
    names = re.findall(r"^(\w+/\w+\.py) ", trail, re.MULTILINE)

    assert len(names) > 5
    assert not [name for name in names if not (ROOT / "tap_zoho_bulk" / name).exists()]


def test_each_folders_docstring_says_its_duty() -> None:
    for init in (ROOT / "tap_zoho_bulk").rglob("__init__.py"):
        docstring = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
        assert docstring is not None
        assert docstring.endswith("."), init


def test_nothing_names_the_tap_at_a_package_index() -> None:
    """The project does not own the name there, so anybody could register it."""
    folders = ("docs", "tap_zoho_bulk", "examples", "loaders", "local-zoho-crm", "deploy")
    files = [
        *ROOT.glob("*.*"),
        *(file for folder in folders for file in (ROOT / folder).rglob("*.*")),
    ]
    texts = [file for file in files if file.suffix in {".md", ".py", ".yml", ".toml"}]
    named = re.compile(r"(?:pip|pipx|uvx?)\b.{0,40}[\s'\"](?:tap-zoho-bulk|local-zoho-crm)\b(?!-)")

    assert len(texts) > 100
    assert not [file for file in texts if named.search(file.read_text(encoding="utf-8"))]
