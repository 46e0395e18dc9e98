"""The OAuth scopes that the tap uses, and their purposes.

Invariant: every scope in the code is in this list, except that of bulk write results. That scope
allows writing, so only users who want that stream grant it. The documentation names it.

Source: https://www.zoho.com/crm/developer/docs/api/v8/scopes.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Scope:
    """One of Zoho's OAuth scopes.

    Args:
        name: Zoho's name of the scope.
        purpose: Why the tap needs it, for people.
        probe: Path of a cheap request that needs this scope, on the API host. `{version}` is
            replaced with the API version.
        required: Whether every sync needs it.
    """

    name: str
    purpose: str
    probe: str
    required: bool = False


BULK_READ = Scope(
    "ZohoCRM.bulk.READ", "bulk read jobs", "/crm/bulk/{version}/read/0", required=True
)
MODULES = Scope(
    "ZohoCRM.modules.ALL",
    "records, deleted records and counts of all modules",
    "/crm/{version}/Leads/deleted?type=all",
    required=True,
)
COUNTS = Scope(
    "ZohoSearch.securesearch.READ",
    "Zoho's counts of modules, which `verify_counts` compares",
    "/crm/{version}/Leads/actions/count",
)
SCOPES = (
    BULK_READ,
    MODULES,
    Scope(
        "ZohoCRM.settings.modules.READ",
        "discovery: the modules",
        "/crm/{version}/settings/modules",
        required=True,
    ),
    Scope(
        "ZohoCRM.settings.fields.READ",
        "discovery: the fields",
        "/crm/{version}/settings/fields?module=Leads",
        required=True,
    ),
    Scope(
        "ZohoCRM.settings.custom_views.READ",
        "custom views: the stream, and views chosen by name",
        "/crm/{version}/settings/custom_views?module=Leads",
    ),
    Scope(
        "ZohoCRM.settings.roles.READ",
        "the stream of roles",
        "/crm/{version}/settings/roles",
    ),
    Scope(
        "ZohoCRM.settings.profiles.READ",
        "the stream of profiles",
        "/crm/{version}/settings/profiles",
    ),
    Scope(
        "ZohoCRM.settings.currencies.READ",
        "the stream of currencies",
        "/crm/{version}/org/currencies",
    ),
    Scope(
        "ZohoCRM.settings.territories.READ",
        "the streams of territories and of their users",
        "/crm/{version}/settings/territories",
    ),
    Scope(
        "ZohoCRM.settings.pipeline.READ",
        "the stream of pipelines",
        "/crm/{version}/settings/pipeline?layout_id=0",
    ),
    Scope(
        "ZohoCRM.settings.layouts.READ",
        "the stream of pipelines: the layouts of Deals",
        "/crm/{version}/settings/layouts?module=Deals",
    ),
    Scope(
        "ZohoCRM.users.READ",
        "the streams of users, and of their territories",
        "/crm/{version}/users?type=CurrentUser",
    ),
    Scope(
        "ZohoCRM.org.READ",
        "`--test`, and the stream of the organisation",
        "/crm/{version}/org",
    ),
    COUNTS,
)
BULK_WRITE_SCOPE = "ZohoCRM.bulk.CREATE"
"""Zoho requires it even to poll a bulk write job."""
SCOPE_TEXT = ",".join(scope.name for scope in SCOPES)
"""All scopes, as Zoho's consent page and API console expect them."""


def module_scope(module: str) -> Scope:
    """Return the scope for the records of one module, which is part of `MODULES`.

    Args:
        module: API name of the module.
    """
    return Scope(
        f"ZohoCRM.modules.{module}.READ",
        f"records of {module}",
        f"/crm/{{version}}/{module}/deleted?type=all",
    )


def grant_advice(names: str, *, soid: str | None) -> str:
    """Return how to get scopes that a token lacks.

    Args:
        names: Of the scopes, in words.
        soid: The setting of this name: the tap then requests the scopes itself.
    """
    if soid is None:
        return f"Create a new refresh token whose scopes include {names}."
    return (
        f"The tap requested {names} with `soid`, and Zoho did not grant it: check the client in "
        "Zoho's API console, and what its owner may do in Zoho CRM."
    )


def not_granted(granted: str, scopes: Iterable[Scope] = SCOPES) -> list[Scope]:
    """Return the scopes that a list of granted scopes does not cover.

    Args:
        granted: Scopes as in Zoho's token response, separated by spaces or commas.
        scopes: Those in question.
    """
    held = set(re.split(r"[\s,]+", granted.lower()))
    return [scope for scope in scopes if not held & _covering(scope.name.lower())]


def _covering(name: str) -> set[str]:
    """Return the scopes that include one: itself, those of its groups, and their ALL."""
    *groups, operation = name.split(".")
    covering = {name}
    for length in range(2, len(groups) + 1):
        group = ".".join(groups[:length])
        covering |= {f"{group}.{operation}", f"{group}.all"}
    if operation == "all":
        covering.add(f"{'.'.join(groups)}.read")  # The tap only reads.
    return covering
