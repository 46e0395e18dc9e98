"""Checks of a config, by the JSON Schema and beyond it.

Invariant: a wrong value is named in an error before any request is made, and no error shows a
secret, not even one in the wrong place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator

from tap_zoho_bulk.crm.api_names import did_you_mean
from tap_zoho_bulk.crm.criteria import structure_problem
from tap_zoho_bulk.crm.timestamps import parse_instant
from tap_zoho_bulk.settings.schema import (
    SECRET_SETTINGS,
    VERSIONS_WITH_PAGE_TOKENS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import ValidationError


def schema_problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return where a config does not match its JSON Schema.

    A value is shown only if it can hold no secret: neither a list or an object, nor a text in place
    of another type, nor anything in a setting that is secret.

    Args:
        config: Setting names to values.
        schema: JSON Schema of the config.

    Returns:
        One sentence per problem, in the style of the SDK's own.
    """
    problems = []
    missing = []
    for error in Draft202012Validator(schema).iter_errors(config):
        place = f" in config[{']['.join(map(repr, error.path))}]" if error.path else ""
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            problems += [
                f"there is no setting {name!r}{place}.{did_you_mean(name, known)}"
                for name in error.instance.keys() - known.keys()
            ]
        elif error.validator == "required" and not error.path:
            missing += [f"`{name}`" for name in error.validator_value if name not in config]
        else:
            problems.append(f"{_without_secrets(error)}{place}")
    return problems + _sign_in_problems(config, missing)


def _sign_in_problems(config: Mapping[str, Any], missing: list[str]) -> list[str]:
    """Return what keeps the tap from signing in, besides wrong values."""
    refresh_token, soid = config.get("refresh_token"), config.get("soid")
    if not (refresh_token or soid):
        missing = [*missing, "`refresh_token` or `soid`"]
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        advice = "`tap-zoho-bulk-login` signs in once, and writes what is missing into a config"
        return [f"without {names}, the tap cannot sign in. {advice}"]
    if isinstance(refresh_token, str) and isinstance(soid, str):
        return ["`refresh_token` and `soid` are mutually exclusive"]
    return []


def _without_secrets(error: ValidationError) -> str:
    value = error.instance
    harmless = not isinstance(value, (dict, list, str)) or (
        isinstance(value, str) and error.validator != "type"
    )
    if harmless and error.path[0] not in SECRET_SETTINGS:
        return error.message
    kinds: dict[type, str] = {dict: "the object", list: "the array", str: "the string"}
    return error.message.replace(repr(value), kinds.get(type(value), "the value"))


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
        problem = structure_problem(criteria) if isinstance(criteria, dict) else None
        if problem is not None:
            problems.append(problem.at(module))
    problems += [*_problems_of_replacing(config), *_problems_of_reconciling(config)]
    for name in ("accounts_url", "api_url"):
        value = config.get(name)
        if isinstance(value, str) and not _is_http_url(value):
            # The message leaves the value out: a URL may contain a password.
            problems.append(
                "not an HTTP URL without user, password, query and fragment, such as "
                f"https://www.zohoapis.com, in config[{name!r}]"
            )
    return problems


def _problems_of_replacing(config: Mapping[str, Any]) -> list[str]:
    """Return why targets cannot drop rows after `replace_days`."""
    options = config.get("module_options")
    chosen = {
        f"config['module_options'][{module!r}]['replace_days']": each.get("replace_days")
        for module, each in (options.items() if isinstance(options, dict) else ())
        if isinstance(each, dict)
    }
    chosen["config['replace_days']"] = config.get("replace_days")
    places = [place for place, days in chosen.items() if days is not None]
    problems = []
    if not config.get("emit_activate_version_messages"):
        problems += [f"needs `emit_activate_version_messages`, in {place}" for place in places]
    if config.get("start_date") is not None:
        problems += [f"cannot be combined with `start_date`, in {place}" for place in places]
    if not _has_page_tokens(config):
        problems += [f"needs `api_version` v7 or v8, in {place}" for place in places]
    return problems


def _has_page_tokens(config: Mapping[str, Any]) -> bool:
    return config.get("api_version") in (None, *VERSIONS_WITH_PAGE_TOKENS)


def _problems_of_reconciling(config: Mapping[str, Any]) -> list[str]:
    """Return why the ids of a warehouse cannot be reconciled."""
    files = config.get("reconcile_ids")
    if not isinstance(files, dict) or not files:
        return []
    place = "in config['reconcile_ids']"
    problems = [
        f"{file!r} is not a readable file, {place}[{module!r}]"
        for module, file in files.items()
        if isinstance(file, str) and (os.path.isdir(file) or not os.access(file, os.R_OK))  # noqa: PTH112
    ]
    if not config.get("emit_deletes"):
        problems.append(f"needs `emit_deletes`, {place}")
    if not _has_page_tokens(config):
        # A record that shifts between pages would count as gone.
        problems.append(f"needs `api_version` v7 or v8, {place}")
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
