"""What the command line does besides syncing, at low cost and in formats for programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, Organisation
from local_zoho_crm.oauth import DEFAULT_SCOPES
from tap_zoho_bulk.exceptions import ExitCode
from tap_zoho_bulk.settings import CONFIG_JSONSCHEMA
from tests.support.organisations import catalog as small_catalog
from tests.support.organisations import small_organisation
from tests.support.singer import FAST, select

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import TapCommand


@pytest.fixture
def server(serve: Serve) -> ZohoServer:
    return serve(Organisation.generate())


@pytest.mark.parametrize(
    "command",
    ["tap-zoho-bulk", "tap-zoho-bulk-login", "tap-zoho-bulk-plan", "tap-zoho-bulk-report"],
)
def test_each_command_tells_its_name_and_version(command: str) -> None:
    script = Path(sysconfig.get_path("scripts")) / command

    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)

    assert command in done.stdout
    assert version("tap-zoho-bulk") in done.stdout


def test_what_few_syncs_need_is_not_loaded_by_the_others(
    tap: TapCommand, server: ZohoServer
) -> None:
    catalog = tap.discover(server, modules=["Tasks", "Events"])
    done = subprocess.run(
        tap.line(server.tap_config(**FAST, modules=["Tasks"]), catalog=catalog),
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(re.findall(r"^import time: .*\| +(\w+)$", done.stderr, re.MULTILINE))
    assert loaded > {"requests", "singer_sdk"}
    assert not loaded & {"boto3", "icalendar", "jinja2", "pyarrow", "rich"}


def test_about_describes_every_setting_and_keeps_secrets_marked(tap: TapCommand) -> None:
    exit_code, stdout, _ = tap.start(None, "--about", "--format", "json").end()

    assert exit_code == 0
    about = json.loads(stdout)
    assert about["name"] == "tap-zoho-bulk"
    assert {"catalog", "discover", "state", "about", "batch", "stream-maps"} <= set(
        about["capabilities"]
    )
    settings = about["settings"]["properties"]
    for name in CONFIG_JSONSCHEMA["properties"]:
        assert settings[name]["description"], name
    assert {name for name, each in settings.items() if each.get("secret")} == {
        "client_id",
        "client_secret",
        "refresh_token",
    }
    assert set(about["settings"]["required"]) == {"client_id", "client_secret"}


def test_the_connection_test_starts_no_job_and_asks_for_little(
    tap: TapCommand, server: ZohoServer
) -> None:
    run = tap.run(server, "--test")

    assert run.exit_code == 0, run.stderr
    assert {request.path for request in server.requests} == {
        "/crm/bulk/v8/read/0",
        "/crm/v8/org",
        "/crm/v8/settings/fields",
        "/crm/v8/settings/modules",
        "/oauth/v2/token",
    }
    assert not server.jobs
    company = server.organisation.company["company_name"]
    assert run.line(str(company), "America/Los_Angeles", level="INFO")
    assert not run.messages


def test_a_connection_test_that_fails_says_so(tap: TapCommand, server: ZohoServer) -> None:
    run = tap.run(server, "--test", refresh_token="1000.other")

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "invalid_code" in run.stderr


def test_a_connection_test_counts_what_can_be_read(tap: TapCommand, serve: Serve) -> None:
    server = serve(small_organisation({"Orders": 0, "Payments": 0}))
    refused = {"code": "NO_PERMISSION", "message": "", "details": {}, "status": "error"}
    server.faults.add(Fault(path="/fields$", status=403, body=refused))

    run = tap.run(server, "--test")

    assert run.line("1 modules can be read", level="INFO")
    assert run.line("Skipping the module", "NO_PERMISSION", level="WARNING")


@pytest.mark.parametrize("tell_scopes", [True, False])
def test_a_connection_test_counts_no_module_without_its_scope(
    tap: TapCommand, serve: Serve, *, tell_scopes: bool
) -> None:
    others = DEFAULT_SCOPES - {"ZohoCRM.modules.ALL"}
    organisation = small_organisation({"Orders": 0, "Payments": 0})
    one = serve(
        organisation, scopes={*others, "ZohoCRM.modules.Orders.READ"}, tell_scopes=tell_scopes
    )
    none = serve(organisation, scopes=others, tell_scopes=tell_scopes)

    some, nothing = tap.run(one, "--test"), tap.run(none, "--test")

    assert some.exit_code == 0
    assert some.line("ZohoCRM.modules.ALL", "cannot be read: Payments.", level="WARNING")
    assert some.line("1 modules can be read", level="INFO")
    assert nothing.exit_code == ExitCode.FIX_FIRST
    assert nothing.line("ZohoCRM.modules.ALL", "cannot be read: Orders, Payments.", level="WARNING")
    assert nothing.line("No module can be read", level="ERROR")


def test_a_connection_test_may_want_no_module(tap: TapCommand, serve: Serve) -> None:
    run = tap.run(serve(small_organisation({"Orders": 0})), "--test", modules=[])

    assert run.exit_code == 0
    assert run.line("0 modules can be read", level="INFO")


def test_a_catalog_without_a_selected_stream_is_an_error(tap: TapCommand, serve: Serve) -> None:
    organisation = small_organisation({"Orders": 1})
    given = select(small_catalog(organisation), {})

    run = tap.run(serve(organisation), catalog=given)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("No stream is selected")


def test_discovery_prints_the_catalog_alone(tap: TapCommand, server: ZohoServer) -> None:
    exit_code, stdout, stderr = tap.start(server.tap_config(), "--discover").end()

    assert exit_code == 0, stderr
    assert json.loads(stdout)["streams"]
    assert not server.jobs


def test_a_catalog_that_was_discovered_is_taken_as_it_is(
    tap: TapCommand, server: ZohoServer
) -> None:
    catalog = tap.discover(server, modules=["Tasks"])

    run = tap.sync(server, catalog=catalog, modules=["Tasks"])

    assert run.by_id("Tasks") == server.organisation.truth("Tasks")
    schema = run.schemas["Tasks"]["schema"]
    discovered = next(each for each in catalog["streams"] if each["tap_stream_id"] == "Tasks")
    selected = {
        each["breadcrumb"][-1]
        for each in discovered["metadata"]
        if each["breadcrumb"] and each["metadata"].get("selected-by-default") is not False
    }
    assert schema["properties"] == {
        name: property_
        for name, property_ in discovered["schema"]["properties"].items()
        if name in selected
    }
    assert set(discovered["schema"]["properties"]) - selected >= {"Owner__last_name"}


@pytest.mark.parametrize("given", [None, small_catalog(small_organisation({"Orders": 0}))])
def test_a_server_that_is_not_there_is_told_in_one_line(
    tap: TapCommand, given: dict[str, Any] | None
) -> None:
    config = {
        "client_id": "1000.ID",
        "client_secret": "s3cret",
        "refresh_token": "1000.r3fresh",
        "accounts_url": "http://127.0.0.1:9",
        "api_url": "http://127.0.0.1:9",
        "max_retries": 0,
    }

    run = tap.start(config, catalog=given).finish()

    assert run.exit_code == ExitCode.TRY_AGAIN_LATER
    assert run.line("sign in")
    assert "Traceback" not in run.stderr
    assert "s3cret" not in run.stderr
    assert "r3fresh" not in run.stderr


@pytest.mark.parametrize("option", ["--config", "--catalog", "--state"])
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (None, "No such file|was not found"),
        ("", "JSON"),
        ('{"client_secret": "s3cret", bad', "JSON"),
        ("[1]", "JSON"),
    ],
    ids=["not there", "empty", "no JSON", "no object"],
)
def test_a_file_that_cannot_be_read_is_told_without_a_traceback(
    tap: TapCommand, tmp_path: Path, option: str, content: str | None, fact: str
) -> None:
    file = tmp_path / "file.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")

    run = tap.start(None, option, str(file)).finish()

    assert run.exit_code == 2
    assert f"'{option}'" in run.stderr
    assert str(file) in run.stderr
    assert re.search(fact, run.stderr)
    assert "Traceback" not in run.stderr
    assert "s3cret" not in run.stderr


def test_a_state_message_in_place_of_a_state_is_refused(
    tap: TapCommand, server: ZohoServer
) -> None:
    run = tap.run(server, state={"type": "STATE", "value": {"bookmarks": {}}})

    assert run.exit_code == 2
    assert "STATE" in run.stderr
    assert "`value`" in run.stderr


@pytest.mark.parametrize(
    ("option", "content", "place"),
    [
        ("--state", {"bookmarks": 5}, "$.bookmarks"),
        ("--state", {"bookmarks": {"Leads": 5}}, "$.bookmarks.Leads"),
        ("--state", {"bookmarks": {"x": {"partitions": [5]}}}, "$.bookmarks.x.partitions[0]"),
        ("--catalog", {"streams": 5}, "$.streams"),
        ("--catalog", {"streams": [{"schema": {"properties": {}}}]}, "tap_stream_id"),
        ("--catalog", {"streams": [{"tap_stream_id": "x", "schema": {}}]}, "$.streams[0].schema"),
    ],
)
def test_a_file_of_another_form_is_told_with_the_place(
    tap: TapCommand, tmp_path: Path, option: str, content: dict[str, Any], place: str
) -> None:
    file = tmp_path / "file.json"
    file.write_text(json.dumps(content), encoding="utf-8")

    run = tap.start(None, option, str(file)).finish()

    assert run.exit_code == 2
    assert place in run.stderr
    assert str(file) in run.stderr
    assert "Traceback" not in run.stderr


def test_help_says_what_the_connection_test_does(tap: TapCommand) -> None:
    exit_code, stdout, _ = tap.start(None, "--help").end()

    assert exit_code == 0
    (about_test,) = re.findall(r"--test .*?(?= --)", " ".join(stdout.split()))
    assert "modules" in about_test
    assert "--test=schema" in stdout


def test_later_config_files_and_the_environment_add_to_earlier_ones(
    tap: TapCommand, server: ZohoServer
) -> None:
    config = server.tap_config()
    files = [
        tap.write({**config, "client_id": "1000.OLD", "client_secret": "0ld"}),
        tap.write({"client_id": config["client_id"]}),
        "ENV",
    ]

    run = tap.start(
        None,
        *(part for file in files for part in ("--config", file)),
        "--test",
        environment={"TAP_ZOHO_BULK_CLIENT_SECRET": config["client_secret"]},
    ).finish()

    assert run.exit_code == 0, run.stderr
