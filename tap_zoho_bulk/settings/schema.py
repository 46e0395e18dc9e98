"""Every setting: its name, type, default and description, as the JSON Schema of the tap's config.

A new setting is added here and to `Settings`. The file has more than 400 lines because the settings
are one list, and each takes some lines.
"""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from tap_zoho_bulk.crm.data_centers import API_SUBDOMAINS, DATA_CENTERS

_TEN_YEARS = 10 * 366 * 86400
VERSIONS_WITH_PAGE_TOKENS = ("v7", "v8")
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
        description="Export only the records of the custom view with this name or system name.",
    ),
    th.Property(
        "criteria",
        th.ObjectType(additional_properties=True),
        description="Export only records that match these criteria, in Zoho's bulk read JSON.",
    ),
    th.Property(
        "related_fields",
        th.ArrayType(th.StringType(pattern=r"^[^.\s]+\.[^.\s]+$")),
        description="Fields of parent records to include, such as `Account_Name.Phone`.",
    ),
    th.Property(
        "replace_days",
        th.IntegerType(minimum=1),
        description="The setting `replace_days` for this module only.",
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
        secret=True,
        title="Refresh token",
        description=(
            "OAuth refresh token of this client, unless `soid` is set. `tap-zoho-bulk-login` "
            "obtains one with the scopes that the tap needs."
        ),
    ),
    th.Property(
        "soid",
        th.StringType(pattern=r"^(ZohoCRM\.)?[0-9]+$"),
        title="Organisation ID",
        description=(
            "Zoho's ID of the organisation (ZSOID). Sign in with client credentials instead of a "
            "refresh token."
        ),
    ),
    th.Property(
        "data_center",
        th.StringType,
        default="us",
        allowed_values=[*DATA_CENTERS],
        title="Data center",
        description="Data center that hosts the account. Determines the accounts and API hosts.",
    ),
    th.Property(
        "environment",
        th.StringType,
        default="production",
        allowed_values=[*API_SUBDOMAINS],
        title="Environment",
        description="Environment of the account to read.",
    ),
    th.Property(
        "accounts_url",
        th.URIType,
        title="Accounts URL",
        description=(
            "Overrides the data center's accounts host, for example with a proxy or a test server."
        ),
    ),
    th.Property(
        "api_url",
        th.URIType,
        title="API URL",
        description=(
            "Overrides the data center's API host, for example with a proxy or a test server."
        ),
    ),
    th.Property(
        "api_version",
        th.StringType,
        default="v8",
        allowed_values=[*API_VERSIONS],
        title="API version",
        description=(
            "Version of Zoho's API. Below v7, jobs request pages by number instead of by page "
            "token."
        ),
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description=(
            "Incremental streams read only records modified since this time. If unset, they read "
            "all records."
        ),
    ),
    th.Property(
        "modules",
        th.ArrayType(th.StringType(min_length=1)),
        default=["*"],
        title="Modules",
        description="API names of the modules to discover. `*` and `?` are wildcards.",
    ),
    th.Property(
        "exclude_modules",
        th.ArrayType(th.StringType(min_length=1)),
        default=[],
        title="Excluded modules",
        description=("API names of modules to leave out of discovery. `*` and `?` are wildcards."),
    ),
    th.Property(
        "module_options",
        th.ObjectType(additional_properties=_MODULE_OPTIONS),
        default={},
        title="Module options",
        description=(
            "Options by module API name: `custom_view` (a name) or `custom_view_id`, `criteria` "
            '(in Zoho\'s JSON), `related_fields` (`["Account_Name.Phone"]`) and `replace_days`.'
        ),
    ),
    th.Property(
        "lookback_seconds",
        th.IntegerType(minimum=0, maximum=_TEN_YEARS),
        default=0,
        title="Lookback",
        description=(
            "Incremental streams read records again that were modified up to this many seconds "
            "before the bookmark."
        ),
    ),
    th.Property(
        "multiselect_separator",
        th.StringType(min_length=1),
        title="Multi-select separator",
        description=(
            "Separator that splits multi-select picklists into arrays. If unset, they stay the "
            "text that Zoho sends."
        ),
    ),
    th.Property(
        "on_invalid_value",
        th.StringType,
        default="error",
        allowed_values=["error", "null"],
        title="On invalid value",
        description=(
            "When a cell does not parse as its field's type: `error` fails the stream, `null` "
            "replaces the value with null."
        ),
    ),
    th.Property(
        "on_stream_error",
        th.StringType,
        default="continue",
        allowed_values=["continue", "abort"],
        title="On stream error",
        description=(
            "After a stream fails: `continue` syncs the other streams, `abort` stops the run. The "
            "exit code is non-zero in both cases."
        ),
    ),
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        default=10,
        title="Maximum concurrent jobs",
        description="Maximum number of bulk read jobs in progress at the same time.",
    ),
    th.Property(
        "max_concurrent_requests",
        th.IntegerType(minimum=1),
        default=10,
        title="Maximum concurrent requests",
        description=(
            "Maximum number of concurrent requests. Zoho allows 5 to 25, depending on the edition."
        ),
    ),
    th.Property(
        "poll_interval_seconds",
        th.NumberType(exclusive_minimum=0),
        default=1,
        title="Poll interval",
        description=(
            "Seconds before the first status check of a job. Later checks are spaced further and "
            "further apart."
        ),
    ),
    th.Property(
        "max_poll_interval_seconds",
        th.NumberType(exclusive_minimum=0),
        default=30,
        title="Maximum poll interval",
        description="Maximum seconds between two status checks of a job.",
    ),
    th.Property(
        "job_timeout_seconds",
        th.NumberType(exclusive_minimum=0),
        default=3600,
        title="Job timeout",
        description=(
            "Maximum seconds from the creation of a job to its completion, and for the download of "
            "its result."
        ),
    ),
    th.Property(
        "request_timeout_seconds",
        th.NumberType(exclusive_minimum=0),
        default=60,
        title="Request timeout",
        description=(
            "Maximum seconds for a request, from connecting to the last byte of its response. A "
            "download may take longer while its data keeps arriving."
        ),
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0),
        default=8,
        title="Maximum retries",
        description="Maximum number of retries of a request after transient errors.",
    ),
    th.Property(
        "downloads_per_minute",
        th.IntegerType(minimum=1),
        default=10,
        title="Downloads per minute",
        description="Maximum number of results downloaded per minute. Zoho's limit is 10.",
    ),
    th.Property(
        "api_credit_limit",
        th.IntegerType(minimum=1),
        title="API credit limit",
        description=(
            "Maximum API credits of a run, all requests included. Before it spends more, the run "
            "ends successfully, and the next run continues."
        ),
    ),
    th.Property(
        "emit_deletes",
        th.BooleanType,
        default=False,
        title="Emit deletes",
        description=(
            "Emit deleted records in the streams of their modules: the key, and "
            "`_sdc_deleted_at`. Costs 2 API credits per module and run."
        ),
    ),
    th.Property(
        "reconcile_ids",
        th.ObjectType(additional_properties=th.StringType(min_length=1)),
        default={},
        title="Ids to reconcile",
        description=(
            "Files of the ids that the warehouse has, by module API name. The run also reads all "
            "ids of these modules, and emits a delete for each id that Zoho does not have. Needs "
            "`emit_deletes`."
        ),
    ),
    th.Property(
        "skip_unchanged",
        th.BooleanType,
        default=False,
        title="Skip unchanged modules",
        description=(
            "Check whether a module has changed (1 API credit) before each incremental job (50 "
            "credits), and skip the job if it has not."
        ),
    ),
    th.Property(
        "verify_counts",
        th.BooleanType,
        default=False,
        title="Verify counts",
        description=(
            "Compare the number of records with Zoho's own count (1 API credit), which lags by up "
            "to ten minutes, after a full sync of a module, and warn if they differ."
        ),
    ),
    th.Property(
        "refresh_formulas_days",
        th.IntegerType(minimum=1),
        title="Refresh formulas after days",
        description=(
            "Read a module in full again this many days after its last full sync. Formulas, "
            "rollups and related fields change without a new `Modified_Time`."
        ),
    ),
    th.Property(
        "replace_days",
        th.IntegerType(minimum=1),
        title="Replace after days",
        description=(
            "Read a module in full again this many days after its last full sync, and have targets "
            "drop the rows of records that are gone. Needs `emit_activate_version_messages`. If "
            "unset, 7 for subforms of up to 200,000 rows."
        ),
    ),
    th.Property(
        "bulk_write_job_ids",
        th.ArrayType(th.StringType(pattern="^[0-9]+$")),
        default=[],
        title="Bulk write jobs",
        description="IDs of the bulk write jobs whose results `bulk_write_results` reads.",
    ),
    th.Property(
        "callback_url",
        th.URIType,
        title="Callback URL",
        description="URL that Zoho sends a POST request to when a job has ended.",
    ),
    th.Property(
        "spool_directory",
        th.StringType(min_length=1),
        title="Spool directory",
        description=(
            "Directory for downloaded pages until they are read. If unset, the system's temporary "
            "directory."
        ),
    ),
    th.Property(
        "max_spool_bytes",
        th.IntegerType(minimum=0),
        default=2_000_000_000,
        title="Maximum spool size in bytes",
        description=(
            "Disk space for pages that wait for the target. Chains read on until it is used up; "
            "beyond it, each may have one page. A page of 200,000 records is some 30 MB, and "
            "counts as at least 16 MiB."
        ),
    ),
    # The SDK's own settings whose place or words differ between its versions
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        title="Emit `ACTIVATE_VERSION` messages",
        description=(
            "Whether to emit `ACTIVATE_VERSION` messages. If set to `True`, the tap will emit "
            "`ACTIVATE_VERSION` messages for each stream."
        ),
    ),
    th.Property(
        "batch_config",
        th.ObjectType(
            th.Property(
                "encoding",
                th.ObjectType(
                    th.Property(
                        "format",
                        th.StringType(allowed_values=["jsonl", "parquet"]),
                        title="Format",
                        description="Format of the files.",
                    ),
                    th.Property(
                        "compression",
                        th.StringType(allowed_values=["gzip", "none"]),
                        title="Compression",
                        description="Compression of the files.",
                    ),
                ),
                title="Encoding",
                description="Format and compression of the files.",
            ),
            th.Property(
                "storage",
                th.ObjectType(
                    th.Property(
                        "root",
                        th.StringType,
                        title="Root",
                        description="Directory for the files, as a path or URL.",
                    ),
                    th.Property(
                        "prefix",
                        th.StringType,
                        title="Prefix",
                        description="Beginning of the files' names.",
                    ),
                ),
                title="Storage",
                description="Where the files are written.",
            ),
        ),
        title="BATCH files",
        description="Write files, and BATCH messages that name them, instead of RECORD messages.",
    ),
    additional_properties=False,
).to_dict()

SECRET_SETTINGS = tuple(
    name for name, schema in CONFIG_JSONSCHEMA["properties"].items() if schema.get("secret")
)
