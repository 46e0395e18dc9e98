"""The settings: `schema` describes each, `typed` is a run's, `checks` rejects wrong ones.

Invariant: a wrong value is named in an error before any request is made, and no error shows a
secret.
"""

from tap_zoho_bulk.settings.checks import (
    config_problems,
    numbers_from_text,
    schema_problems,
    unknown_variables,
)
from tap_zoho_bulk.settings.schema import CONFIG_JSONSCHEMA
from tap_zoho_bulk.settings.typed import ModuleOptions, Settings

__all__ = [
    "CONFIG_JSONSCHEMA",
    "ModuleOptions",
    "Settings",
    "config_problems",
    "numbers_from_text",
    "schema_problems",
    "unknown_variables",
]
