"""Settings from the environment: texts that become numbers and objects, and names that are unknown.

Invariant: what belongs to another plugin, to Meltano or to the SDK is not an unknown setting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.settings.schema import CONFIG_JSONSCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_SETTINGS = {"LOGLEVEL", "CHECKOUT", "PIP_URL"}
"""Variables of the SDK and of Meltano projects."""


def numbers_from_text(config: Mapping[str, Any]) -> dict[str, float]:
    """Parse number settings that are text, such as those from the environment.

    The SDK parses integers, booleans, arrays and objects from text, but not numbers.

    Args:
        config: Setting names to values.

    Returns:
        The parsed settings only.
    """
    parsed = {}
    for name, schema in CONFIG_JSONSCHEMA["properties"].items():
        value = config.get(name)
        if "number" in schema["type"] and isinstance(value, str):
            try:
                parsed[name] = float(value)
            except ValueError:
                continue  # The schema's validation reports it.
    return parsed


def as_objects(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object whose keys are paths as objects within objects.

    Meltano passes `{"encoding": {"format": "parquet"}}` as `{"encoding.format": "parquet"}`.

    Args:
        value: A setting that is an object; none of the tap's has points in its keys.
    """
    result: dict[str, Any] = {}
    for path, each in value.items():
        place = result
        *outer, name = path.split(".")
        for key in outer:
            inner = place.setdefault(key, {})
            if not isinstance(inner, dict):  # The checks report what it is.
                break
            place = inner
        place[name] = as_objects(each) if isinstance(each, dict) else each
    return result


def unknown_variables(
    environment: Mapping[str, str], prefix: str, settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return what looks like a setting in the environment, but is unknown.

    Args:
        environment: Names of variables to texts.
        prefix: Of the names of the tap's variables.
        settings: JSON Schemas of all settings that there are, by name.

    Returns:
        Names, as settings have them, to texts.
    """
    known = _NO_SETTINGS | {name.upper() for name in settings}
    # Meltano has a variable for each part of an object, and its own with another underscore.
    beginnings = (
        "_",
        *(f"{name.upper()}_" for name, schema in settings.items() if "object" in schema["type"]),
    )
    texts = {
        variable.removeprefix(prefix): text
        for variable, text in environment.items()
        if variable.startswith(prefix)
    }

    def is_known(name: str) -> bool:
        return name in known or name.startswith(beginnings)

    def is_of_another(name: str) -> bool:
        """Return whether a plugin such as tap-zoho-bulk-eu has it: `EU_CLIENT_ID`."""
        words = name.split("_")
        return any(is_known("_".join(words[n:])) for n in range(1, len(words)))

    return {
        name.lower(): text
        for name, text in texts.items()
        if not (is_known(name) or is_of_another(name))
    }
