"""The definition for the Meltano Hub has the fields that the Hub asks for, and no others.

Source: `schemas/plugin_definitions/extractors.schema.json` in the Hub's repository, and what it
refers to.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.singer import ROOT

_REQUIRED = {"name", "namespace", "variant", "quality"}
_NOT_SHARED = {"commands", "pip_url"}
_TEXTS = {
    *("name", "namespace", "variant", "label", "description", "executable", "pip_url", "repo"),
    *("docs", "domain_url", "logo_url", "definition", "next_steps", "settings_preamble", "usage"),
    "prereq",
}
_CAPABILITIES = {
    *("properties", "catalog", "discover", "state", "about", "stream-maps", "schema-flattening"),
    *("activate-version", "batch", "test", "log-based", "structured-logging"),
}


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    """Return the definition that `make settings` has written."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "meltano-hub.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the Hub's schema, with the settings of Meltano's own schema."""
    meltano = json.loads((files("meltano") / "schemas" / "meltano.schema.json").read_text())

    def of(*texts: str) -> dict[str, Any]:
        return {"enum": [*texts]}

    def array(items: dict[str, Any]) -> dict[str, Any]:
        return {"type": "array", "items": items}

    text = {"type": "string"}
    return {
        "$defs": meltano["$defs"],
        "type": "object",
        "required": [*_REQUIRED],
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(_TEXTS, text),
            "keywords": array(text),
            "maintenance_status": of("active", "beta", "development", "inactive", "unknown"),
            "quality": of("gold", "silver", "bronze", "unknown"),
            "supported_python_versions": array({"type": "string", "pattern": r"^3\.\d+$"}),
            "capabilities": array(of(*_CAPABILITIES)),
            "settings_group_validation": array(array(text)),
            "settings": array({"$ref": "#/$defs/base_setting"}),
        },
    }


def test_the_definition_has_what_the_hub_asks_for(
    definition: dict[str, Any], schema: dict[str, Any]
) -> None:
    jsonschema.validate(definition, schema)
    assert definition["settings"]


@pytest.mark.parametrize("name", sorted(_REQUIRED))
def test_a_definition_without_a_required_field_is_refused(
    definition: dict[str, Any], schema: dict[str, Any], name: str
) -> None:
    with pytest.raises(jsonschema.ValidationError, match=name):
        jsonschema.validate({key: definition[key] for key in definition if key != name}, schema)


def test_the_definition_names_no_package_that_the_project_does_not_own(
    definition: dict[str, Any],
) -> None:
    assert not {"pip_url", "repo"} & set(definition)


def test_the_definition_is_the_plugin_definition_but_for_what_the_hub_shows(
    definition: dict[str, Any],
) -> None:
    plugin = yaml.safe_load((ROOT / "meltano-plugin.yml").read_text())
    shared = {name: value for name, value in plugin.items() if name not in _NOT_SHARED}
    assert {name: definition[name] for name in shared} == shared
