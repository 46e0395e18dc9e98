"""The settings: their names, defaults and meaning, as a JSON Schema and as a typed object.

Invariant: a wrong value is named in an error before any request is made, and no error shows a
secret.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import EMIT_ACTIVATE_VERSION_CONFIG

from tap_zoho_bulk.crm.criteria import structure_problem
from tap_zoho_bulk.crm.data_centers import API_SUBDOMAINS, DATA_CENTERS
from tap_zoho_bulk.crm.timestamps import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_TEN_YEARS = 10 * 366 * 86400
API_VERSIONS = ("v2", "v3", "v4", "v5", "v6", "v7", "v8")

_MODULE_OPTIONS = th.ObjectType(
    th.Property(
        "custom_view_id",
        th.StringType,
        description="Export only the records of the custom view with this id.",
    ),
    th.Property(
        "custom_view",
        th.StringType(min_length=1),
        description="Export only the records of the custom view of this name or system name.",
    ),
    th.Property(
        "criteria",
        th.ObjectType(additional_properties=True),
        description="Export only records that match, in the JSON of Zoho's bulk read.",
    ),
    th.Property(
        "related_fields",
        th.ArrayType(th.StringType(pattern=r"^[^.\s]+\.[^.\s]+$")),
        description="Fields of parent records to add, such as `Account_Name.Phone`.",
    ),
    additional_properties=False,
)

CONFIG_JSONSCHEMA: dict[str, Any] = th.PropertiesList(
    th.Property(
        "client_id",
        th.StringType(min_length=1),
        required=True,
        secret=True,
        title="Client ID",
        description="Client ID from Zoho's API console.",
    ),
    th.Property(
        "client_secret",
        th.StringType(min_length=1),
        required=True,
        secret=True,
        title="Client secret",
        description="Client secret from Zoho's API console.",
    ),
    th.Property(
        "refresh_token",
        th.StringType(min_length=1),
        required=True,
        secret=True,
        title="Refresh token",
        description="OAuth refresh token, made for that client with the scopes that README lists.",
    ),
    th.Property(
        "data_center",
        th.StringType,
        default="us",
        allowed_values=[*DATA_CENTERS],
        title="Data center",
        description="Where the account lives; picks the accounts and API hosts.",
    ),
    th.Property(
        "environment",
        th.StringType,
        default="production",
        allowed_values=[*API_SUBDOMAINS],
        title="Environment",
        description="Which of the account's environments to read.",
    ),
    th.Property(
        "accounts_url",
        th.URIType,
        title="Accounts URL",
        description="Instead of the data center's accounts host: a proxy or a test server.",
    ),
    th.Property(
        "api_url",
        th.URIType,
        title="API URL",
        description="Instead of the data center's API host: a proxy or a test server.",
    ),
    th.Property(
        "api_version",
        th.StringType,
        default="v8",
        allowed_values=[*API_VERSIONS],
        title="API version",
        description="Version of Zoho's API. Below v7, pages are numbered instead of chained.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="Incremental streams start here; without it, with everything.",
    ),
    th.Property(
        "modules",
        th.ArrayType(th.StringType(min_length=1)),
        default=["*"],
        title="Modules",
        description="API names of the modules to discover; `*` and `?` match as in file names.",
    ),
    th.Property(
        "exclude_modules",
        th.ArrayType(th.StringType(min_length=1)),
        default=[],
        title="Excluded modules",
        description="API names of modules not to discover; `*` and `?` match as in file names.",
    ),
    th.Property(
        "module_options",
        th.ObjectType(additional_properties=_MODULE_OPTIONS),
        default={},
        title="Module options",
        description=(
            "By module API name: `custom_view` (a name) or `custom_view_id`, `criteria` (Zoho's "
            'JSON) and `related_fields` (`["Account_Name.Phone"]`).'
        ),
    ),
    th.Property(
        "lookback_seconds",
        th.IntegerType(minimum=0, maximum=_TEN_YEARS),
        default=0,
        title="Lookback",
        description="Read again this many seconds behind the bookmark.",
    ),
    th.Property(
        "multiselect_separator",
        th.StringType(min_length=1),
        title="Multi-select separator",
        description=(
            "When set, multi-select picklists are split here and become arrays; else they stay "
            "the text that Zoho sends."
        ),
    ),
    th.Property(
        "on_invalid_value",
        th.StringType,
        default="error",
        allowed_values=["error", "null"],
        title="On an invalid value",
        description="A cell that does not parse as its field's type fails the stream, or is null.",
    ),
    th.Property(
        "on_stream_error",
        th.StringType,
        default="continue",
        allowed_values=["continue", "abort"],
        title="On a stream's error",
        description=(
            "Sync the other streams after one fails, or stop. The run ends non-zero either way."
        ),
    ),
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        default=10,
        title="Concurrent jobs",
        description="Bulk read jobs in flight at once.",
    ),
    th.Property(
        "max_concurrent_requests",
        th.IntegerType(minimum=1),
        default=10,
        title="Concurrent requests",
        description="Requests in flight at once; Zoho allows 5 to 25, by edition.",
    ),
    th.Property(
        "poll_interval_seconds",
        th.NumberType(exclusive_minimum=0),
        default=1,
        title="Poll interval",
        description="A job is looked at first after this many seconds, then ever more rarely.",
    ),
    th.Property(
        "max_poll_interval_seconds",
        th.NumberType(exclusive_minimum=0),
        default=30,
        title="Longest poll interval",
        description="Seconds between two looks at a job, at most.",
    ),
    th.Property(
        "job_timeout_seconds",
        th.NumberType(exclusive_minimum=0),
        default=3600,
        title="Job timeout",
        description="Seconds from a job's creation until it must be completed.",
    ),
    th.Property(
        "request_timeout_seconds",
        th.NumberType(exclusive_minimum=0),
        default=60,
        title="Request timeout",
        description="Seconds to connect, and seconds to wait for more of an answer.",
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0),
        default=8,
        title="Retries",
        description="How often one request is repeated after a fault that may pass.",
    ),
    th.Property(
        "downloads_per_minute",
        th.IntegerType(minimum=1),
        default=10,
        title="Downloads per minute",
        description="Results downloaded in any minute, at most. Zoho's limit is 10.",
    ),
    th.Property(
        "api_credit_limit",
        th.IntegerType(minimum=1),
        title="API credit limit",
        description=(
            "Start no job that would take the run past this many API credits; the run then ends "
            "cleanly and the next one goes on from there."
        ),
    ),
    th.Property(
        "skip_unchanged",
        th.BooleanType,
        default=False,
        title="Skip unchanged modules",
        description=(
            "Before an incremental job (50 API credits), ask whether the module has changed at all "
            "(1 credit), and skip the job if not."
        ),
    ),
    th.Property(
        "verify_counts",
        th.BooleanType,
        default=False,
        title="Verify counts",
        description=(
            "After a full sync of a module, compare with Zoho's own count of its records (1 API "
            "credit), and warn of a gap."
        ),
    ),
    th.Property(
        "refresh_formulas_days",
        th.IntegerType(minimum=1),
        title="Refresh formulas after days",
        description=(
            "When this many days have passed since a module was last read whole, read it whole "
            "again, as formulas, rollups and related fields change without touching "
            "`Modified_Time`."
        ),
    ),
    th.Property(
        "bulk_write_job_ids",
        th.ArrayType(th.StringType(pattern="^[0-9]+$")),
        default=[],
        title="Bulk write jobs",
        description="Ids of bulk write jobs whose results the stream `bulk_write_results` brings.",
    ),
    th.Property(
        "callback_url",
        th.URIType,
        title="Callback URL",
        description="Given to Zoho with every job; Zoho posts there when the job has ended.",
    ),
    th.Property(
        "spool_directory",
        th.StringType(min_length=1),
        title="Spool directory",
        description="Where downloaded pages wait on disk; the system's temporary folder if unset.",
    ),
).to_dict()
CONFIG_JSONSCHEMA["properties"].update(EMIT_ACTIVATE_VERSION_CONFIG["properties"])

SECRET_SETTINGS = tuple(
    name for name, schema in CONFIG_JSONSCHEMA["properties"].items() if schema.get("secret")
)


@dataclass(frozen=True)
class ModuleOptions:
    """What `module_options` says of one module.

    Args:
        custom_view_id: Zoho's id of a custom view.
        custom_view: The view's name instead.
        criteria: Criteria in Zoho's JSON.
        related_fields: Parent fields as `Lookup.Field`.
    """

    custom_view_id: str | None = None
    custom_view: str | None = None
    criteria: dict[str, Any] | None = None
    related_fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The settings of one run, typed. Each is described in `CONFIG_JSONSCHEMA`."""

    client_id: str
    client_secret: str
    refresh_token: str
    data_center: str
    environment: str
    accounts_url: str | None
    api_url: str | None
    api_version: str
    start_date: datetime | None
    modules: tuple[str, ...]
    exclude_modules: tuple[str, ...]
    module_options: dict[str, ModuleOptions]
    lookback_seconds: int
    multiselect_separator: str | None
    on_invalid_value: Literal["error", "null"]
    on_stream_error: Literal["continue", "abort"]
    max_concurrent_jobs: int
    max_concurrent_requests: int
    poll_interval_seconds: float
    max_poll_interval_seconds: float
    job_timeout_seconds: float
    request_timeout_seconds: float
    max_retries: int
    downloads_per_minute: int
    api_credit_limit: int | None
    skip_unchanged: bool
    verify_counts: bool
    refresh_formulas_days: int | None
    bulk_write_job_ids: tuple[str, ...]
    callback_url: str | None
    spool_directory: str | None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read a validated configuration.

        Args:
            config: Setting names to values, as `config_problems` accepts them.
        """
        properties = CONFIG_JSONSCHEMA["properties"]
        values: dict[str, Any] = {}
        for name in cls.__dataclass_fields__:
            value = config.get(name)
            values[name] = properties[name].get("default") if value is None else value
            if "number" in properties[name]["type"]:
                values[name] = float(values[name])  # The SDK reads JSON numbers as Decimal.
        start_date = values["start_date"]
        values["start_date"] = parse_instant(start_date) if start_date else None
        values["modules"] = tuple(values["modules"])
        values["exclude_modules"] = tuple(values["exclude_modules"])
        values["bulk_write_job_ids"] = tuple(dict.fromkeys(values["bulk_write_job_ids"]))
        values["module_options"] = {
            module: ModuleOptions(
                custom_view_id=options.get("custom_view_id"),
                custom_view=options.get("custom_view"),
                criteria=_plain(options.get("criteria")),
                related_fields=tuple(options.get("related_fields") or ()),
            )
            for module, options in values["module_options"].items()
        }
        return cls(**values)


def numbers_from_text(config: Mapping[str, Any]) -> dict[str, float]:
    """Read number settings that came as text, as those from the environment do.

    The SDK turns text into integers, booleans, arrays and objects, but not into numbers.

    Args:
        config: Setting names to values.

    Returns:
        The settings that changed.
    """
    changed = {}
    for name, schema in CONFIG_JSONSCHEMA["properties"].items():
        value = config.get(name)
        if "number" in schema["type"] and isinstance(value, str):
            try:
                changed[name] = float(value)
            except ValueError:
                continue  # The schema's own check names it.
    return changed


def config_problems(config: Mapping[str, Any]) -> list[str]:
    """Find what the JSON Schema cannot say.

    Args:
        config: Setting names to values.

    Returns:
        One sentence for each problem, in the style of the SDK's own.
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
        problems.append(f"{spool!r} is no folder to write to, in config['spool_directory']")
    options = config.get("module_options")
    for module, chosen in options.items() if isinstance(options, dict) else ():
        if not isinstance(chosen, dict):
            continue
        if chosen.get("custom_view") and chosen.get("custom_view_id"):
            problems.append(
                "`custom_view` and `custom_view_id` cannot both choose the view "
                f"in config['module_options'][{module!r}]"
            )
        criteria = chosen.get("criteria")
        problem = structure_problem(criteria) if criteria is not None else None
        if problem is not None:
            problems.append(problem.at(module))
    for name in ("accounts_url", "api_url"):
        value = config.get(name)
        if isinstance(value, str) and not _is_http_url(value):
            # The value is not shown: a URL may hold a password.
            problems.append(
                "not the URL of a host without user and password, such as "
                f"https://www.zohoapis.com, in config[{name!r}]"
            )
    return problems


def _plain(value: Any) -> Any:
    """Give JSON with Python's own numbers: the SDK reads those with a point as Decimal."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


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
