"""`meltano.yml`, `sample_config.json` and README say what the tap itself says of its settings."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.meltano_project import REPOSITORY

TAP = Path(sysconfig.get_path("scripts")) / "tap-zoho-bulk"

KINDS = {
    "string": "string",
    "integer": "integer",
    # Meltano 4.4 fails on kind `decimal` from the environment; the tap reads numbers from text.
    "number": "string",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}
"""Meltano's kinds of settings, by JSON type."""


def about(style: str) -> str:
    return subprocess.run(
        [TAP, "--about", f"--format={style}"], capture_output=True, text=True, check=True
    ).stdout


@cache
def tap() -> Any:
    return json.loads(about("json"))


@cache
def plugin() -> Any:
    project = yaml.safe_load((REPOSITORY / "meltano.yml").read_text())
    return project["plugins"]["extractors"][0]


def setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A setting as `meltano.yml` should state it."""
    (json_type,) = (
        {schema["type"]} if isinstance(schema["type"], str) else {*schema["type"]} - {"null"}
    )
    stated: dict[str, Any] = {"name": name, "label": schema["title"], "kind": KINDS[json_type]}
    if schema.get("format") == "date-time":
        stated["kind"] = "date_iso8601"
    if "enum" in schema:
        stated["kind"] = "options"
        stated["options"] = [{"label": value, "value": value} for value in schema["enum"]]
    if schema.get("secret"):
        stated["sensitive"] = True
    stated["description"] = schema["description"]
    return stated


def test_meltano_yml_states_every_setting() -> None:
    expected = [setting(name, schema) for name, schema in tap()["settings"]["properties"].items()]
    stated = plugin()["settings"]
    wanted = yaml.safe_dump(
        [each for each in expected if each not in stated], sort_keys=False, width=100
    )
    surplus = [each["name"] for each in stated if each not in expected]
    assert stated == expected, f"Wrong or unknown: {surplus}. Missing:\n{wanted}"


def test_meltano_yml_names_the_required_settings() -> None:
    assert plugin()["settings_group_validation"] == [tap()["settings"]["required"]]


def test_meltano_yml_states_every_capability() -> None:
    assert plugin()["capabilities"] == sorted(tap()["capabilities"])


def test_meltano_yml_holds_no_settings_of_an_account() -> None:
    assert "config" not in plugin()
    assert not {"value", "env"} & {key for each in plugin()["settings"] for key in each}


def test_sample_config_is_valid() -> None:
    sample = json.loads((REPOSITORY / "sample_config.json").read_text())
    schema = {**tap()["settings"], "additionalProperties": False}
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(
        sample
    )
    assert set(tap()["settings"]["required"]) <= set(sample)


def test_readme_shows_the_settings_table() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    shown = re.findall(
        r"^<!-- settings -->\n(.*?)^<!-- /settings -->$", readme, re.MULTILINE | re.DOTALL
    )
    table = re.search(r"^\| Setting .*?(?=\n\n|\Z)", about("markdown"), re.MULTILINE | re.DOTALL)
    assert table
    assert [text.strip() for text in shown] == [table[0].strip()]
