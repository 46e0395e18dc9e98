"""The package stands alone: it and its tests need nothing else from the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1]
FILES = sorted(FOLDER.rglob("*.py"))
# What pyproject.toml declares, by the names that Python code imports
DECLARED = {
    *("starlette", "uvicorn"),
    *("icalendar", "pytest", "requests", "typing_extensions", "zohocrmsdk"),
}


def imported(file: Path) -> set[str]:
    """Return the top-level packages that a file imports, those for types included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module)
    return {name.partition(".")[0] for name in found}


def test_files_import_only_what_the_package_declares() -> None:
    tests = {each.stem for each in FOLDER.glob("tests/*.py")}
    foreign = {}
    for file in FILES:
        own = {"local_zoho_crm"} | (tests if file.parent == FOLDER / "tests" else set())
        foreign[file] = imported(file) - own - {*sys.stdlib_module_names, *DECLARED}

    assert {file: names for file, names in foreign.items() if names} == {}


def test_it_is_typed() -> None:
    assert (FOLDER / "local_zoho_crm" / "py.typed").is_file()


def test_the_readmes_example_runs() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)

    output = subprocess.check_output([sys.executable, "-c", example], text=True)

    assert "'Last_Name': 'Smith'" in output
