"""Checks of a config that the JSON Schema cannot express.

Invariant: a wrong value is named in an error before any request is made, and no error shows a
secret.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tap_zoho_bulk.crm.criteria import structure_problem
from tap_zoho_bulk.crm.timestamps import parse_instant
from tap_zoho_bulk.settings.schema import CONFIG_JSONSCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def config_problems(config: Mapping[str, Any]) -> list[str]:
    """Return the problems that the JSON Schema cannot express.

    Args:
        config: Setting names to values.

    Returns:
        One sentence per problem, in the style of the SDK's own.
    """
    problems = []
    start_date = config.get("start_date")
    if isinstance(start_date, str):
        try:
            parse_instant(start_date)
        except ValueError:
            problems.append(
                f"{start_date!r} is not an ISO 8601 date-time, such as 2026-01-31T00:00:00Z, "
                "in config['start_date']"
            )
    spool = config.get("spool_directory")
    if isinstance(spool, str) and not os.access(spool, os.W_OK | os.X_OK):
        problems.append(f"{spool!r} is not a writable directory, in config['spool_directory']")
    options = config.get("module_options")
    for module, chosen in options.items() if isinstance(options, dict) else ():
        if not isinstance(chosen, dict):
            continue
        if chosen.get("custom_view") and chosen.get("custom_view_id"):
            problems.append(
                "`custom_view` and `custom_view_id` are mutually exclusive, "
                f"in config['module_options'][{module!r}]"
            )
        criteria = chosen.get("criteria")
        problem = structure_problem(criteria) if criteria is not None else None
        if problem is not None:
            problems.append(problem.at(module))
    for name in ("accounts_url", "api_url"):
        value = config.get(name)
        if isinstance(value, str) and not _is_http_url(value):
            # The message leaves the value out: a URL may contain a password.
            problems.append(
                "not an HTTP URL without user, password, query and fragment, such as "
                f"https://www.zohoapis.com, in config[{name!r}]"
            )
    return problems


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return (
            url.scheme in {"http", "https"}
            and bool(url.hostname)
            and url.port != 0
            and not (url.query or url.fragment or url.username or url.password)
        )
    except ValueError:
        return False
