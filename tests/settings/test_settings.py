"""Every setting works from a file and from the environment; an invalid one is named at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tap_zoho_bulk.settings import CONFIG_JSONSCHEMA
from tap_zoho_bulk.tap import TapZohoBulk

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

SECRETS = {"client_id": "1000.ID", "client_secret": "s3cret", "refresh_token": "1000.r3fresh"}
WRONG: dict[str, list[Any]] = {
    "client_id": ["", 5],
    "client_secret": ["", ["s3cr3t-in-a-list"]],
    "refresh_token": ["", {"t0ken": "s3cr3t-in-an-object"}],
    "data_center": ["moon", "US", 1],
    "environment": ["test"],
    "accounts_url": [
        "accounts.zoho.eu",
        "https://user:p4ss@accounts.zoho.eu",
        "ftp://x",
        "https://",
    ],
    "api_url": ["https://www.zohoapis.eu?token=t0k", "https://www.zohoapis.eu/#x", "http://[", 5],
    "api_version": ["v1", "v9", "8", 8],
    "soid": ["ZohoCRM", "1 2", 5],
    "start_date": ["yesterday", "0001-01-01T00:00:00+14:00", "2024-13-01", "01/02/2024", 20240101],
    "modules": ["Leads", [1], [""]],
    "exclude_modules": ["Leads", [None]],
    "module_options": [
        [],
        {"Leads": []},
        {"Leads": {"criterias": {}}},
        {"Leads": {"criteria": "a"}},
        {"Leads": {"criteria": {}}},
        {"Leads": {"criteria": {"group": "a"}}},
        {"Leads": {"criteria": {"group": [], "group_operator": "and"}}},
        {"Leads": {"criteria": {"group": [{"field": "A"}], "group_operator": "and"}}},
        {"Leads": {"criteria": {"comparator": "equal", "value": 1}}},
        {"Leads": {"custom_view_id": 5}},
        {"Leads": {"related_fields": "Owner.email"}},
        {"Leads": {"related_fields": ["Owner"]}},
        {"Leads": {"related_fields": ["A.B.C"]}},
    ],
    "lookback_seconds": [-1, 1.5, "soon", 10**11],
    "multiselect_separator": ["", 5],
    "on_invalid_value": ["ignore"],
    "on_stream_error": ["stop"],
    "max_concurrent_jobs": [0, "many"],
    "max_concurrent_requests": [0],
    "poll_interval_seconds": [0, -1, "often"],
    "max_poll_interval_seconds": [0],
    "job_timeout_seconds": [0],
    "request_timeout_seconds": [0],
    "max_retries": [-1],
    "downloads_per_minute": [0],
    "api_credit_limit": [0, "all"],
    "callback_url": [5],
    "spool_directory": ["", 5, "/no/such/folder"],
}


def problems(**settings: Any) -> list[str]:
    """Return the problems that the tap finds in a configuration."""
    return TapZohoBulk(config={**SECRETS, **settings}, validate_config=False).config_errors()


def test_the_secrets_alone_are_enough() -> None:
    assert not problems()


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_named(name: str, value: Any) -> None:
    found = problems(**{name: value})

    assert found
    assert all(name in problem for problem in found)


URL = "https://user:p4ss@www.zohoapis.eu"
VALUES: dict[str, Any] = {"string": URL, "array": [URL, {"a": URL}], "object": {"a": [URL]}}
MISPLACED: list[tuple[str, Any]] = [
    *(
        (name, value)
        for name, schema in CONFIG_JSONSCHEMA["properties"].items()
        for kind, value in VALUES.items()
        if kind not in schema["type"]
    ),
    ("modules", [[URL]]),
    ("module_options", {"Leads": URL}),
    ("module_options", {"Leads": {"custom_view": [URL]}}),
    ("module_options", {"Leads": {"criteria": URL}}),
    ("module_options", {"Leads": {"related_fields": URL}}),
    ("batch_config", {"storage": {"root": [URL]}}),
    ("batch_config", {"encoding": {"format": [URL]}}),
    ("stream_maps", URL),
    ("stream_maps", {"Leads": [URL]}),
    ("stream_map_config", URL),
    ("flattening_enabled", URL),
]


@pytest.mark.parametrize(("name", "value"), MISPLACED)
def test_a_value_of_the_wrong_type_is_named_and_not_shown(name: str, value: Any) -> None:
    """It may hold a secret, such as the password of a URL."""
    found = problems(**{name: value})

    assert found
    assert all(f"config['{name}']" in problem for problem in found)
    assert "p4ss" not in str(found)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("api_url", [URL], "the array is not of type 'string', 'null' in config['api_url']"),
        ("max_retries", "many", "the string is not of type 'integer', 'null' in config[{}]"),
        ("max_retries", -1, "-1 is less than the minimum of 0 in config[{}]"),
        ("api_version", 8, "8 is not of type 'string', 'null' in config[{}]"),
        ("environment", "test", "'test' is not one of ['production', 'sandbox', 'developer']"),
        ("client_secret", 5, "the value is not of type 'string' in config[{}]"),
    ],
)
def test_a_problem_names_what_is_wrong(name: str, value: Any, problem: str) -> None:
    assert any(each.startswith(problem.format(repr(name))) for each in problems(**{name: value}))


def test_a_refresh_token_and_client_credentials_do_not_go_together() -> None:
    assert problems(soid="1") == ["`refresh_token` and `soid` are mutually exclusive"]


def test_what_is_missing_is_named_with_the_command_that_gets_it() -> None:
    tap = TapZohoBulk(config={"client_id": "1000.ID"}, validate_config=False)

    (problem,) = tap.config_errors()

    assert problem.startswith(
        "without `client_secret`, `refresh_token` or `soid`, the tap cannot sign in"
    )
    assert "tap-zoho-bulk-login" in problem


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (
            {"data_centre": "eu"},
            "there is no setting 'data_centre'. Did you mean `data_center`?",
        ),
        ({"s3cret": "s3cret"}, "there is no setting 's3cret'."),
        (
            {"module_options": {"Leads": {"criterias": {}}}},
            (
                "there is no setting 'criterias' in config['module_options']['Leads']. "
                "Did you mean `criteria`?"
            ),
        ),
    ],
)
def test_an_unknown_setting_is_an_error(wrong: dict[str, Any], problem: str) -> None:
    assert problems(**wrong) == [problem]


def test_the_sdks_settings_are_known() -> None:
    assert not problems(
        stream_maps={"Leads": {"Email": None}},
        stream_map_config={"hash_seed": "salt"},
        faker_config={"seed": 1},
        flattening_enabled=True,
        flattening_max_depth=1,
        batch_config=None,
        emit_activate_version_messages=True,
    )


def test_unknown_names_and_texts_in_the_environment_are_named(tap: TapCommand) -> None:
    environment = {
        **as_environment(SECRETS),
        "TAP_ZOHO_BULK_DATA_CENTRE": "p4ss",
        "TAP_ZOHO_BULK_SKIP_UNCHANGED": "maybe",
        # Not the tap's: Meltano's, the SDK's, a Meltano project's, another plugin's
        "TAP_ZOHO_BULK__SELECT": '["Leads.*"]',
        "TAP_ZOHO_BULK_LOGLEVEL": "DEBUG",
        "TAP_ZOHO_BULK_CHECKOUT": ".",
        "TAP_ZOHO_BULK_EU_CLIENT_ID": "1000.EU",
        "TAP_ZOHO_BULK_EU__SELECT": "[]",
        "TAP_ZOHO_BULK_BATCH_CONFIG_ENCODING_FORMAT": "parquet",
        "TAP_ZOHO_BULK_BATCH_BATCH_CONFIG_STORAGE_ROOT": "file:///batch",
    }

    run = tap.start(None, "--config", "ENV", environment=environment).finish()

    assert run.exit_code == ExitCode.FIX_FIRST
    wrong = [line for line in run.stderr.splitlines() if "Wrong setting" in line]
    assert len(wrong) == 2
    assert run.line("'data_centre'", "Did you mean `data_center`?")
    assert run.line("the string is not of type 'boolean'", "skip_unchanged")
    assert "p4ss" not in run.stderr


def test_objects_of_meltano_are_objects(tap: TapCommand, server: ZohoServer) -> None:
    """Meltano joins the keys of an object's parts."""
    flat = {
        "Leads.criteria.field.api_name": "Lead_Source",
        "Leads.criteria.comparator": "equal",
        "Leads.criteria.value": "Web",
    }
    environment = as_environment(server.tap_config(modules=["Leads"], module_options=flat))

    run = tap.start(None, "--config", "ENV", environment=environment).finish()

    assert run.exit_code == 0, run.stderr
    assert {each["Lead_Source"] for each in run.records("Leads")} == {"Web"}
    wrong = as_environment(server.tap_config(module_options={"Leads": 5, "Leads.criteria": {}}))
    run = tap.start(None, "--config", "ENV", environment=wrong).finish()
    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("Wrong setting", "5 is not of type 'object'")


@pytest.mark.parametrize(
    "flags", [(), ("--discover",), ("--test",)], ids=["sync", "discover", "test"]
)
def test_wrong_settings_are_all_named_before_any_request(
    tap: TapCommand, serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(Organisation.generate(only=["Tasks"]))
    wrong: dict[str, Any] = {
        "client_secret": ["s3cr3t-in-a-list"],
        "data_center": "moon",
        "start_date": "yesterday",
        "poll_interval_seconds": "often",
        "max_retries": -1,
        "modules": "Tasks",
        "module_options": {"Leads": {"criterias": {}}},
        "accounts_url": "https://user:p4ss@accounts.zoho.eu",
    }

    run = tap.run(server, *flags, **wrong)

    assert run.exit_code == ExitCode.FIX_FIRST
    for name in wrong:
        assert name in run.stderr
    assert "s3cr3t" not in run.stderr
    assert "p4ss" not in run.stderr
    assert not server.requests
    assert not run.messages


def as_environment(settings: dict[str, Any]) -> dict[str, str]:
    return {
        f"TAP_ZOHO_BULK_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }


@pytest.fixture
def server(serve: Serve) -> ZohoServer:
    return serve(Organisation.generate(sizes={"Leads": 60}), page_size=15)


def test_every_kind_of_setting_works_from_the_environment(
    tap: TapCommand, server: ZohoServer
) -> None:
    criteria = {"field": {"api_name": "Lead_Source"}, "comparator": "equal", "value": "Web"}
    settings = server.tap_config(
        poll_interval_seconds=0.02,  # a number
        downloads_per_minute=10_000,  # an integer
        modules=["Leads", "Tasks"],  # an array
        module_options={"Leads": {"criteria": criteria}},  # an object
        emit_activate_version_messages=True,  # a boolean
        start_date="2024-01-01T00:00:00Z",
    )

    running = tap.start(None, "--config", "ENV", environment=as_environment(settings))
    run = tap.finish(running, server)

    assert run.exit_code == 0, run.stderr
    organisation = server.organisation
    assert run.by_id("Leads") == {
        key: record
        for key, record in organisation.truth("Leads").items()
        if record["Lead_Source"] == "Web" and record["Modified_Time"] >= "2024-01-01T00:00:00+00:00"
    }
    assert run.streams & organisation.modules.keys() <= {"Leads", "Tasks"}
    assert {job.module for job in server.jobs} == {"Leads", "Tasks"}


def test_a_wrong_value_in_the_environment_is_named(tap: TapCommand, server: ZohoServer) -> None:
    for name, value in {
        "poll_interval_seconds": "often",
        "max_retries": "-1",
        "data_center": "moon",
    }.items():
        environment = as_environment({**server.tap_config(), name: value})
        running = tap.start(None, "--config", "ENV", environment=environment)
        run = tap.finish(running, server)

        assert run.exit_code == ExitCode.FIX_FIRST
        assert name in run.stderr
    assert not server.requests


@pytest.mark.parametrize("name", ["max_retries", "module_options", "poll_interval_seconds"])
def test_text_in_the_environment_that_does_not_parse_is_named_and_not_shown(
    tap: TapCommand, name: str
) -> None:
    environment = as_environment({**SECRETS, name: URL})
    run = tap.start(None, "--config", "ENV", environment=environment).finish()

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("the string is not of type", name)
    assert "p4ss" not in run.stderr
    assert "Traceback" not in run.stderr


def test_the_environment_can_name_every_setting() -> None:
    """Each has its own type, although variables are texts."""
    values = {
        "array": '["7"]',
        "object": "{}",
        "integer": "7",
        "number": "0.5",
        "boolean": "true",
    }
    wanted: dict[str, Any] = {
        "array": ["7"],
        "object": {},
        "integer": 7,
        "number": 0.5,
        "boolean": True,
    }
    with pytest.MonkeyPatch.context() as patch:
        expected = {}
        for name, schema in CONFIG_JSONSCHEMA["properties"].items():
            kind = next((kind for kind in values if kind in schema["type"]), None)
            if kind is not None and not name.startswith(("batch", "stream_map", "flatten")):
                patch.setenv(f"TAP_ZOHO_BULK_{name.upper()}", values[kind])
                expected[name] = wanted[kind]
        expected["reconcile_ids"] = {"Leads": __file__}
        patch.setenv("TAP_ZOHO_BULK_RECONCILE_IDS", json.dumps(expected["reconcile_ids"]))
        tap = TapZohoBulk(config=SECRETS, parse_env_config=True)

    assert len(expected) > 10
    assert {name: tap.config[name] for name in expected} == expected
