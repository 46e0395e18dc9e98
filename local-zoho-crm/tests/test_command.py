"""The console command: the server, and the commands that talk to it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests

from local_zoho_crm.__main__ import PORT_VARIABLE, main
from zoho_client import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_zoho_crm import Organisation
    from zoho_client import Client

COMMAND = [sys.executable, "-m", "local_zoho_crm"]


@pytest.fixture
def client(organisation: Organisation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Serve with the admin API, on the port that the commands take by default."""
    with serving(organisation, admin=True) as made:
        monkeypatch.setenv(PORT_VARIABLE, made.server.url.rpartition(":")[2])
        yield made


@contextmanager
def serve(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*COMMAND, "serve", "--only", "Leads", "--size", "Leads=3", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.terminate()


def test_it_runs_by_hand(tmp_path: Path) -> None:
    config_file = tmp_path / "config.json"
    with serve("--port", "0", "--write-config", str(config_file)) as process:
        assert process.stderr
        line = process.stderr.readline()
        config = json.loads(config_file.read_text())
        url = config["accounts_url"]
        assert line == (
            f"Zoho CRM is at {url}, its admin page at {url}/_local/. Press Ctrl-C to stop.\n"
        )
        assert config["downloads_per_minute"] == 10
        form = {key: config[key] for key in ("client_id", "client_secret", "refresh_token")}
        answer = requests.post(
            f"{url}/oauth/v2/token",
            data={"grant_type": "refresh_token", **form},
            timeout=10,
        )
        assert "access_token" in answer.json()
        assert "Leads" in requests.get(f"{url}/_local/", timeout=10).text
        process.terminate()
        out, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert json.loads(out) == config
    assert log.splitlines() == ["POST /oauth/v2/token 200", "0 API credits used."]


def test_a_command_waits_for_a_server_that_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    with serve("--port", port, "--downloads-per-minute", "none"):
        main(["config", "--port", port, "--wait", "30"])

    config = json.loads(capsys.readouterr().out)
    assert config["api_url"] == f"http://127.0.0.1:{port}"
    assert config["downloads_per_minute"] == 6000


def test_records_are_added_changed_and_deleted(
    client: Client, organisation: Organisation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.server.url
    main(["add", "Leads", "Last_Name=Miller", "Company="])
    record_id = capsys.readouterr().out.strip()
    assert organisation.module("Leads").records[record_id]["Company"] is None

    main(["change", "Leads", record_id, "Last_Name=a=b c"])
    assert organisation.module("Leads").records[record_id]["Last_Name"] == "a=b c"

    main(["records", "Leads"])
    newest, *others = capsys.readouterr().out.splitlines()
    assert newest.split("\t")[0] == record_id
    assert len(others) == 19

    main(["delete", "Leads", record_id])
    main(["modules"])
    assert "Leads\t45\t1" in capsys.readouterr().out.splitlines()

    main(["delete", "Leads", record_id, "--permanent"])
    assert [row.type for row in organisation.deleted("Leads")] == ["permanent"]


def test_codes_and_configs_to_sign_in_with(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["client"])
    to_sign_in = json.loads(capsys.readouterr().out)
    main(["config"])
    complete = json.loads(capsys.readouterr().out)
    main(["code", "--scopes", "ZohoCRM.org.READ"])
    code = capsys.readouterr().out.strip()

    assert complete == {**to_sign_in, "refresh_token": client.server.desk.refresh_token}
    answer = client.token(grant_type="authorization_code", refresh_token="", code=code).json()
    assert answer["scope"] == "ZohoCRM.org.READ"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["add", "Nothing"], "Error: There is no module Nothing."),
        (["change", "Leads", "1?"], "Error: Leads has no record 1?."),
        (["add", "Leads", "Tags=x"], "Error: Leads has no field Tags with a value."),
        (["serve", "--only", "Nothing"], "Error: No such modules: ['Nothing']"),
    ],
)
def test_what_is_refused_is_an_error(client: Client, arguments: list[str], problem: str) -> None:
    assert client.server.url
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == problem


def test_a_port_that_is_taken_is_an_error(client: Client) -> None:
    assert client.server.url
    with pytest.raises(SystemExit, match="The server cannot use port"):
        main(["serve", "--only", "Leads"])


def test_servers_that_do_not_respond_are_errors(organisation: Organisation) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(SystemExit, match="No local Zoho CRM runs on port"):
            main(["modules", "--port", str(silent.getsockname()[1])])
    with serving(organisation) as client:
        port = client.server.url.rpartition(":")[2]
        with pytest.raises(SystemExit, match="HTTP 404"):
            main(["modules", "--port", port])


def test_a_value_needs_an_equals_sign(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["add", "Leads", "Last_Name"])

    assert "'Last_Name' is not FIELD=VALUE" in capsys.readouterr().err
