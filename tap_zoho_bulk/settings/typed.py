"""The settings of one run as a typed object."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from tap_zoho_bulk.crm.timestamps import parse_instant
from tap_zoho_bulk.settings.schema import CONFIG_JSONSCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True)
class ModuleOptions:
    """The options of one module in `module_options`.

    Args:
        custom_view_id: Zoho's id of a custom view.
        custom_view: The view's name, as an alternative to the id.
        criteria: Criteria in Zoho's JSON.
        related_fields: Fields of parent records, as `Lookup.Field`.
        replace_days: As the setting of this name, for one module.
    """

    custom_view_id: str | None = None
    custom_view: str | None = None
    criteria: dict[str, Any] | None = None
    related_fields: tuple[str, ...] = ()
    replace_days: int | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of one run, typed. `CONFIG_JSONSCHEMA` describes each."""

    client_id: str
    client_secret: str
    refresh_token: str | None
    soid: str | None
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
    emit_deletes: bool
    reconcile_ids: dict[str, str]
    skip_unchanged: bool
    verify_counts: bool
    refresh_formulas_days: int | None
    replace_days: int | None
    bulk_write_job_ids: tuple[str, ...]
    callback_url: str | None
    spool_directory: str | None
    max_spool_bytes: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Create the settings from a valid config.

        Args:
            config: Setting names to values, without problems.
        """
        properties = CONFIG_JSONSCHEMA["properties"]
        values: dict[str, Any] = {}
        for name in cls.__dataclass_fields__:
            value = config.get(name)
            values[name] = properties[name].get("default") if value is None else value
            if "number" in properties[name]["type"]:
                values[name] = float(values[name])  # The SDK parses them as Decimal.
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
                replace_days=options.get("replace_days"),
            )
            for module, options in values["module_options"].items()
        }
        return cls(**values)


def _plain(value: Any) -> Any:
    """Return JSON with floats in place of the Decimals that the SDK parses."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
