"""The settings: what there is, as a run has them, as variables have them, and what is wrong.

Invariant: a wrong value is named in an error before any request is made, and no error shows a
secret.
"""

from tap_zoho_bulk.settings.checks import config_problems, schema_problems
from tap_zoho_bulk.settings.environment import as_objects, numbers_from_text, unknown_variables
from tap_zoho_bulk.settings.schema import CONFIG_JSONSCHEMA
from tap_zoho_bulk.settings.typed import ModuleOptions, Settings

__all__ = [
    "CONFIG_JSONSCHEMA",
    "ModuleOptions",
    "Settings",
    "as_objects",
    "config_problems",
    "numbers_from_text",
    "schema_problems",
    "unknown_variables",
]
