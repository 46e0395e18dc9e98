"""`meltano.yml` and similar files state the settings as the tap itself states them."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from tests.support.singer import ROOT
from tools.stated_settings import about, stated

if TYPE_CHECKING:
    from pathlib import Path


@cache
def tap() -> Any:
    return json.loads(about("json"))


@cache
def plugin() -> Any:
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    return project["plugins"]["extractors"][0]


@pytest.mark.parametrize("file", stated(), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_file_states_the_settings_as_make_settings_writes_them(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == stated()[file], "Run `make settings`"


def test_meltano_yml_states_every_setting_and_no_other() -> None:
    assert [each["name"] for each in plugin()["settings"]] == [*tap()["settings"]["properties"]]


def test_meltano_yml_marks_the_secrets() -> None:
    assert [each["name"] for each in plugin()["settings"] if each.get("sensitive")] == [
        "client_id",
        "client_secret",
        "refresh_token",
    ]


def test_meltano_yml_offers_what_the_tap_allows() -> None:
    allowed = {
        name: schema["enum"]
        for name, schema in tap()["settings"]["properties"].items()
        if "enum" in schema
    }
    offered = {
        each["name"]: [option["value"] for option in each["options"]]
        for each in plugin()["settings"]
        if each["kind"] == "options"
    }
    assert allowed
    assert offered == allowed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("start_date", "date_iso8601"),
        ("modules", "array"),
        ("module_options", "object"),
        ("max_retries", "integer"),
        # Meltano 4.4 fails to pass on a decimal from the environment.
        ("poll_interval_seconds", "string"),
        ("flattening_enabled", "boolean"),
        ("api_url", "string"),
    ],
)
def test_meltano_yml_gives_a_setting_its_kind(name: str, kind: str) -> None:
    assert [each["kind"] for each in plugin()["settings"] if each["name"] == name] == [kind]


def test_meltano_yml_names_the_required_settings() -> None:
    required = tap()["settings"]["required"]
    assert plugin()["settings_group_validation"] == [
        [*required, "refresh_token"],
        [*required, "soid"],
    ]


def test_meltano_yml_states_every_capability() -> None:
    assert plugin()["capabilities"] == sorted(tap()["capabilities"])


def test_meltano_yml_holds_no_settings_of_an_account() -> None:
    assert "config" not in plugin()
    assert not {"value", "env"} & {key for each in plugin()["settings"] for key in each}


def test_the_plugin_definition_is_the_tap_of_meltano_yml_but_for_what_is_the_projects() -> None:
    definition = yaml.safe_load((ROOT / "meltano-plugin.yml").read_text())
    own = {"pip_url", "use_cached_catalog"}
    assert {name for name in definition if name in own} == {"pip_url"}
    assert {name: value for name, value in definition.items() if name not in own} == {
        name: value for name, value in plugin().items() if name not in own
    }


def test_sample_config_is_valid() -> None:
    sample = json.loads((ROOT / "sample_config.json").read_text())
    schema = {**tap()["settings"], "additionalProperties": False}
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(
        sample
    )
    assert set(tap()["settings"]["required"]) <= set(sample)
