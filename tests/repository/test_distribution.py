"""A release contains the package, its licence and documents, and no other files."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from tests.support.singer import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = [
    *("CHANGELOG.md", "LICENSE", "README.md"),
    *("meltano-plugin.yml", "sample_config.json"),
]


def package() -> set[str]:
    return {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "tap_zoho_bulk").rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist and the wheel, and return their directory."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return directory


def test_the_wheel_is_the_package_with_its_licence(built: Path) -> None:
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as wheel:
        names = set(wheel.namelist())
        (info,) = {PurePosixPath(name).parts[0] for name in names if ".dist-info/" in name}
        licence = wheel.read(f"{info}/licenses/LICENSE")
        metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())

    assert {name for name in names if not name.startswith(info)} == package()
    assert "tap_zoho_bulk/py.typed" in names
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    readme = metadata.get_payload()
    assert isinstance(readme, str)
    assert readme.startswith("# tap-zoho-bulk\n")


def test_the_sdist_holds_the_package_and_its_documents(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as sdist:
        names = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in sdist.getnames()}

    made = {".gitignore", "PKG-INFO", "pyproject.toml"}
    assert names - made == {*package(), *DOCUMENTS}


def test_the_licence_is_the_whole_of_apache_2() -> None:
    lines = (ROOT / "LICENSE").read_text().split("\n")

    assert [line.strip() for line in lines[1:3]] == ["Apache License", "Version 2.0, January 2004"]
    assert [n for n in range(1, 10) if any(line.startswith(f"   {n}. ") for line in lines)] == [
        *range(1, 10)
    ]
    assert "   END OF TERMS AND CONDITIONS" in lines
    assert lines[-2] == "   limitations under the License."
