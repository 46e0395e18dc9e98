"""Write the tap's settings and capabilities into Meltano's files and the documentation.

`make settings` runs this. The source is the tap's own `--about`. In `meltano.yml`, the example
project and `docs/settings.md`, only the lines between the comments `settings` and `/settings`
change. `meltano-plugin.yml`, the tap's part of `meltano.yml` for other projects, and
`meltano-hub.yml`, the same for the Meltano Hub, are written completely.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from functools import cache
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from typing_extensions import override

from tests.support.singer import ROOT

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
"""Where Meltano installs the tap from: the user's variable, as no package index has the tap.

A name would do harm: anybody could register it at an index.
"""

_HUB_PREFACE = """\
# The tap as the Meltano Hub describes plugins, for its `_data/meltano/extractors/tap-zoho-bulk`.
# Before it is sent there, it needs `repo` and `pip_url`, and as `variant` the repository's owner:
# the project has no public repository yet. Written by `make settings`.
"""

_COMMANDS = {
    "plan": {
        "args": "--config ENV --catalog "
        "$MELTANO_PROJECT_ROOT/.meltano/run/$MELTANO_EXTRACTOR_NAME/tap.properties.json",
        "executable": "tap-zoho-bulk-plan",
        "description": "Show what a sync would do and cost, without starting a job",
    }
}
"""What `meltano invoke tap-zoho-bulk:…` runs. Meltano writes the catalog before, as it selects."""

_PREFACE = """\
# The tap as a plugin for a Meltano project of your own: see docs/meltano.md.
# Written by `make settings`.
"""


class _Dumper(yaml.SafeDumper):
    """Write each choice of an option on one line."""

    @override
    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> yaml.MappingNode:
        return super().represent_mapping(
            tag, mapping, flow_style or set(mapping) == {"label", "value"}
        )


@cache
def about(style: str) -> str:
    """Return what the tap states about itself.

    Args:
        style: `json` or `markdown`.
    """
    return subprocess.run(
        [TAP, "--about", f"--format={style}"], capture_output=True, text=True, check=True
    ).stdout


def plugin() -> dict[str, Any]:
    """Return the part of a Meltano plugin definition that follows from the tap itself.

    Source: https://docs.meltano.com/reference/plugin-definition-syntax
    """
    tap = json.loads(about("json"))
    return {
        "capabilities": sorted(tap["capabilities"]),
        "settings_group_validation": [
            [*tap["settings"]["required"], either] for either in ("refresh_token", "soid")
        ],
        "settings": [
            _setting(name, schema) for name, schema in tap["settings"]["properties"].items()
        ],
    }


def table() -> str:
    """Return the table of settings in Markdown."""
    found = re.search(r"^\| Setting .*?(?=\n\n|\Z)", about("markdown"), re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError("The tap's --about --format=markdown shows no table of settings")
    return found[0].strip() + "\n"


def definition(project: Mapping[str, Any]) -> str:
    """Return the plugin definition for other projects, as text.

    Meltano copies it into their `meltano.yml`, with comments that follow a setting.

    Args:
        project: What `meltano.yml` holds.
    """
    own, *_ = project["plugins"]["extractors"]
    shared = {name: own[name] for name in ("name", "namespace", "label", "description")}
    return _PREFACE + _yaml(
        {
            **shared,
            "pip_url": _PIP_URL,
            "executable": own["executable"],
            "commands": _COMMANDS,
            **plugin(),
        }
    )


def hub_definition(project: Mapping[str, Any]) -> str:
    """Return the plugin definition for the Meltano Hub, as text.

    Args:
        project: What `meltano.yml` holds.
    """
    own, *_ = project["plugins"]["extractors"]
    versions = (
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier)
        for classifier in metadata(own["name"]).get_all("Classifier", [])
    )
    return _HUB_PREFACE + _yaml(
        {
            **{name: own[name] for name in ("name", "namespace")},
            "variant": "original",
            **{name: own[name] for name in ("label", "description", "executable")},
            "domain_url": "https://www.zoho.com/crm/",
            "keywords": ["api", "crm", "meltano_sdk", "zoho"],
            "maintenance_status": "beta",
            "quality": "unknown",
            "supported_python_versions": [version[1] for version in versions if version],
            **plugin(),
        }
    )


def stated() -> dict[Path, str]:
    """Return the files that state settings, with the text that they should have."""
    regions = {
        "meltano.yml": _yaml({"commands": _COMMANDS, **plugin()}),
        "examples/meltano/meltano.yml": _yaml({"commands": _COMMANDS, **plugin()}),
        "docs/settings.md": table(),
    }
    files = {
        ROOT / name: _replaced((ROOT / name).read_text(encoding="utf-8"), region)
        for name, region in regions.items()
    }
    project = yaml.safe_load(files[ROOT / "meltano.yml"])
    return {
        **files,
        ROOT / "meltano-plugin.yml": definition(project),
        ROOT / "meltano-hub.yml": hub_definition(project),
    }


def _setting(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a setting as a plugin definition states it.

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
