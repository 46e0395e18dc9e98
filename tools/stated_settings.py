"""What `meltano.yml`, `meltano-plugin.yml` and README state of the tap's settings and capabilities.

`make settings` writes it there, from what the tap says with `--about`. In `meltano.yml` and README
it goes between the lines that begin with `settings` and `/settings` in a comment, and nothing else
is touched. `meltano-plugin.yml` is written whole: the tap's part of `meltano.yml`, for projects of
other people.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from typing_extensions import override

from tests.support.meltano_project import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

TAP = Path(sysconfig.get_path("scripts")) / "tap-zoho-bulk"

_KINDS = {
    "string": "string",
    "integer": "integer",
    # Meltano 4.4 fails on kind `decimal` from the environment; the tap reads numbers from text.
    "number": "string",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}
"""Meltano's kinds of settings, by JSON type."""

_REGION = re.compile(
    r"^(?P<begin>(?P<indent> *)(?:#|<!--) settings\b[^\n]*\n).*?(?P<end>^ *(?:#|<!--) /settings\b)",
    re.MULTILINE | re.DOTALL,
)


_PIP_URL = "${TAP_ZOHO_BULK_PIP_URL}"
"""Where Meltano installs the tap from: whoever adds it says so, since no package index has it.

A name would do harm: anybody can take it at an index.
"""

_PREFACE = """\
# The tap as a plugin, for a Meltano project of your own; README says how to add it.
# Written by `make settings`.
"""


class _Dumper(yaml.SafeDumper):
    """Writes a choice of an option on one line."""

    @override
    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> yaml.MappingNode:
        return super().represent_mapping(
            tag, mapping, flow_style or set(mapping) == {"label", "value"}
        )


def about(style: str) -> str:
    """What the tap says of itself.

    Args:
        style: `json` or `markdown`.
    """
    return subprocess.run(
        [TAP, "--about", f"--format={style}"], capture_output=True, text=True, check=True
    ).stdout


def plugin() -> dict[str, Any]:
    """The part of a Meltano plugin definition that follows from the tap itself.

    Source: https://docs.meltano.com/reference/plugin-definition-syntax
    """
    tap = json.loads(about("json"))
    return {
        "capabilities": sorted(tap["capabilities"]),
        "settings_group_validation": [tap["settings"]["required"]],
        "settings": [
            _setting(name, schema) for name, schema in tap["settings"]["properties"].items()
        ],
    }


def table() -> str:
    """README's table of settings."""
    found = re.search(r"^\| Setting .*?(?=\n\n|\Z)", about("markdown"), re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError("The tap's --about --format=markdown shows no table of settings")
    return found[0].strip() + "\n"


def definition(project: Mapping[str, Any]) -> str:
    """The plugin definition for other people's projects, as text.

    Meltano copies it into their `meltano.yml`, with comments that follow a setting.

    Args:
        project: What `meltano.yml` holds.
    """
    (own,) = project["plugins"]["extractors"]
    shared = {name: own[name] for name in ("name", "namespace", "label", "description")}
    return _PREFACE + _yaml(
        {**shared, "pip_url": _PIP_URL, "executable": own["executable"], **plugin()}
    )


def stated() -> dict[Path, str]:
    """The files that state settings, with the text that they should have."""
    project, readme = (
        (REPOSITORY / name).read_text(encoding="utf-8") for name in ("meltano.yml", "README.md")
    )
    return {
        REPOSITORY / "meltano.yml": _replaced(project, _yaml(plugin())),
        REPOSITORY / "meltano-plugin.yml": definition(yaml.safe_load(project)),
        REPOSITORY / "README.md": _replaced(readme, table()),
    }


def _setting(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A setting as a plugin definition states it.

    Without `value`: the tap knows its defaults, and Meltano would pass them on as if the user
    had chosen them.
    """
    (json_type,) = (
        {schema["type"]} if isinstance(schema["type"], str) else {*schema["type"]} - {"null"}
    )
    setting = {
        "name": name,
        "kind": _KINDS[json_type],
        "label": schema["title"],
        "description": schema["description"],
    }
    if schema.get("format") == "date-time":
        setting["kind"] = "date_iso8601"
    if "enum" in schema:
        setting["kind"] = "options"
        setting["options"] = [{"label": value, "value": value} for value in schema["enum"]]
    if schema.get("secret"):
        setting["sensitive"] = True
    return setting


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=sys.maxsize, allow_unicode=True)


def _replaced(text: str, region: str) -> str:
    def fill(match: re.Match[str]) -> str:
        lines = (match["indent"] + line for line in region.splitlines(keepends=True))
        return match["begin"] + "".join(lines) + match["end"]

    filled, count = _REGION.subn(fill, text)
    if count != 1:
        raise ValueError(f"{count} regions of settings instead of one")
    return filled


if __name__ == "__main__":
    for file, text in stated().items():
        if (
            not file.exists() or file.read_text(encoding="utf-8") != text
        ):  # A newer meltano.yml installs plugins again.
            file.write_text(text, encoding="utf-8")
