"""The documentation of the local Zoho CRM lists its commands and options."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.singer import ROOT

PAGE = (ROOT / "docs" / "local-zoho-crm.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\| `local-zoho-crm (\w+)", PAGE, re.MULTILINE)


def help_of(*command: str) -> str:
    return subprocess.check_output(
        [sys.executable, "-m", "local_zoho_crm", *command, "--help"], text=True
    )


def test_the_page_lists_every_command() -> None:
    assert re.findall(r"^    (\w+) ", help_of(), re.MULTILINE) == ["serve", *COMMANDS]


def test_the_page_lists_every_option_of_serve() -> None:
    listed = re.findall(r"^\| `(--[\w-]+)", PAGE, re.MULTILINE)

    assert re.findall(r"^  (--[\w-]+)", help_of("serve"), re.MULTILINE) == listed


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_names_every_option_of_a_command(command: str) -> None:
    for option in re.findall(r"^  (--[\w-]+)", help_of(command), re.MULTILINE):
        assert f"`{option}" in PAGE, option
