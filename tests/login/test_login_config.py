"""What `tap-zoho-bulk-login` does after consent: scopes, data centers, and the config file."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from dotenv import dotenv_values

from local_zoho_crm import Organisation
from local_zoho_crm.browser import SECONDS, decide
from tap_zoho_bulk.crm.scopes import SCOPES, not_granted
from tap_zoho_bulk.exceptions import ExitCode, SettingsError
from tap_zoho_bulk.login.config_file import ConfigFile, EnvFormat, JsonFormat
from tap_zoho_bulk.login.exchange import missing_scopes
from tests.support.login import ALL_SCOPES, assert_connects, ended, redirect_uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_zoho_crm import ZohoServer
    from tests.conftest import Login, Serve
    from tests.support.login import LoginRun
    from tests.support.singer import Json, TapCommand

REQUIRED = [scope.name for scope in SCOPES if scope.required]
OPTIONAL = [scope.name for scope in SCOPES if not scope.required]


# Scopes


@pytest.mark.parametrize("tell_scopes", [True, False])
@pytest.mark.parametrize("accept", [True, False])
def test_missing_scopes_are_named_and_what_they_are_for(
    login: Login, serve: Serve, organisation: Organisation, *, tell_scopes: bool, accept: bool
) -> None:
    missing = {"ZohoCRM.bulk.READ", "ZohoCRM.users.READ"}
    server = serve(organisation, tell_scopes=tell_scopes)
    code = server.desk.authorization_code(scopes=set(ALL_SCOPES) - missing)
    flags = ["--accept-missing-scopes"] if accept else []

    run = ended(server, login(server, "--code", "-", *flags, stdin=code))

    assert set(re.findall(r"The scope (\S+) is missing", run.shown)) == missing
    assert "needs it for bulk read jobs." in run.shown
    assert bool(run.stdout) == accept
    assert run.exit_code == (0 if accept else ExitCode.FIX_FIRST)
    if not accept:
        assert "lacks ZohoCRM.bulk.READ. " in run.shown
    assert not server.jobs


def test_scopes_for_some_features_may_be_missing(login: Login, server: ZohoServer) -> None:
    code = server.desk.authorization_code(scopes=REQUIRED)

    run = ended(server, login(server, "--code", "-", stdin=code))

    assert run.exit_code == 0, run.shown
    assert json.loads(run.stdout)
    assert re.findall(r"The scope (\S+) is missing", run.shown) == OPTIONAL


@pytest.mark.parametrize("missing", ALL_SCOPES)
def test_a_cheap_call_shows_whether_a_scope_is_granted(
    serve: Serve, organisation: Organisation, missing: str
) -> None:
    server = serve(organisation, scopes=set(ALL_SCOPES) - {missing})
    config = {**server.tap_config(), "data_center": "us"}

    assert [scope.name for scope in missing_scopes({}, config)] == [missing]
    assert not server.jobs
    assert server.credits < 20


def test_a_module_that_the_account_has_not_is_no_missing_scope(serve: Serve) -> None:
    server = serve(Organisation.generate(only=["Tasks"]))

    assert not missing_scopes({"scope": ""}, {**server.tap_config(), "data_center": "us"})


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        (" ".join(ALL_SCOPES), []),
        (",".join(ALL_SCOPES).lower(), []),
        (
            "ZohoCRM.bulk.ALL ZohoCRM.modules.READ ZohoCRM.settings.ALL",
            ALL_SCOPES[-3:],
        ),
        ("ZohoCRM.modules.leads.READ", ALL_SCOPES),
        (
            "ZohoCRM.settings.READ, ZohoCRM.users.ALL, ZohoCRM.org.all, ZohoSearch.ALL",
            [*ALL_SCOPES[:2], ALL_SCOPES[-1]],  # There is no such scope.
        ),
        ("ZohoCRM.modules.CREATE ZohoCRM.modulesX.ALL", ALL_SCOPES),
    ],
)
def test_wider_scopes_cover_narrower_ones(granted: str, missing: list[str]) -> None:
    assert [scope.name for scope in not_granted(granted)] == missing


# Data centers


class Proxy:
    """Records the hosts that it should connect to, and connects to none."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                method, host, _ = connection.recv(1 << 16).decode().split(" ", 2)
                self.asked.append(f"{method} {host}")
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        """Stop."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def proxy() -> Iterator[Proxy]:
    it = Proxy()
    try:
        yield it
    finally:
        it.close()


@pytest.mark.parametrize(
    ("answer", "host"),
    [
        ({"location": "eu", "accounts-server": "https://accounts.zoho.eu"}, "accounts.zoho.eu"),
        ({"accounts-server": "https://accounts.zohocloud.ca/"}, "accounts.zohocloud.ca"),
        ({"location": "EU", "accounts-server": "https://evil.example"}, "accounts.zoho.eu"),
        ({"location": "xx", "accounts-server": "https://evil.example"}, "accounts.zoho.in"),
        ({}, "accounts.zoho.in"),
    ],
)
def test_the_secret_goes_to_zohos_known_hosts_only(
    login: Login, server: ZohoServer, port: int, answer: dict[str, str], host: str
) -> None:
    with proxy() as between:
        running = login(
            server,
            "--data-center=in",
            environment={"TAP_ZOHO_BULK_ACCOUNTS_URL": "", "HTTPS_PROXY": between.url},
        )
        url = running.consent_url()
        assert url.startswith("https://accounts.zoho.in/")
        state = parse_qs(urlsplit(url).query)["state"][0]
        query = urlencode({"state": state, "code": "1000.c0de", **answer})
        page = requests.get(f"{redirect_uri(port)}?{query}", timeout=SECONDS)
        run = ended(server, running)

    assert page.status_code == 200
    assert set(between.asked) == {f"CONNECT {host}:443"}
    assert run.exit_code == ExitCode.TRY_AGAIN_LATER
    assert "exchange the code" in run.shown
    assert "c0de" not in run.shown
    assert ("continuing with" in run.shown) == bool(answer)


def test_a_set_accounts_url_is_the_only_one(
    login: Login, serve: Serve, organisation: Organisation, port: int
) -> None:
    elsewhere = serve(Organisation())
    server = serve(
        organisation,
        redirect_uris=[redirect_uri(port)],
        location="eu",
        accounts_server=elsewhere.url,
    )

    running = login(server)
    decide(running.consent_url())
    run = ended(server, running)

    assert run.exit_code == 0, run.shown
    assert not elsewhere.requests
    assert json.loads(run.stdout)["data_center"] == "eu"
    assert "in the data center eu, not us" in run.shown


# The config file


def run_with_code(login: Login, server: ZohoServer, *arguments: str, **options: Any) -> LoginRun:
    stdin = server.desk.authorization_code()
    return ended(server, login(server, "--code", "-", *arguments, stdin=stdin, **options))


def test_other_settings_of_a_config_stay(login: Login, server: ZohoServer, tmp_path: Path) -> None:
    before: Json = {
        "modules": ["Leads", "Ünïcode*"],
        "module_options": {"Leads": {"criteria": {"value": 1.5}}},
        "client_id": server.desk.client_id,
        "refresh_token": "1000.old",
        "environment": "sandbox",
        "of_another_tool": None,
    }
    real = tmp_path / "real.json"
    real.write_text(json.dumps(before))
    real.chmod(0o644)
    output = tmp_path / "config.json"
    output.symlink_to(real)

    run = run_with_code(login, server, "--output", str(output))

    assert run.exit_code == 0, run.shown
    after = json.loads(real.read_text())
    assert after == {
        **before,
        **server.tap_config(),
        "data_center": "us",
        "refresh_token": after["refresh_token"],
    }
    assert after["refresh_token"] in server.secrets
    assert output.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "real.json"]


ENV_OF_A_PROJECT = """\
# The warehouse
export TARGET_PASSWORD='a b'

export TAP_ZOHO_BULK_CLIENT_ID=1000.old  # of last year
TAP_ZOHO_BULK_MODULES='["Leads"]'
"""


def test_an_env_file_signs_the_tap_in_and_keeps_its_other_lines(
    tap: TapCommand, login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    output = tmp_path / ".env"
    output.write_text(ENV_OF_A_PROJECT)

    run = run_with_code(login, server, "--format", "env", "--output", str(output), "--force")

    assert run.exit_code == 0, run.shown
    text = output.read_text()
    kept, _, added = text.partition("TAP_ZOHO_BULK_MODULES='[\"Leads\"]'\n")
    assert kept == ENV_OF_A_PROJECT.replace(
        "1000.old  # of last year", f"'{server.desk.client_id}'"
    ).removesuffix("TAP_ZOHO_BULK_MODULES='[\"Leads\"]'\n")
    assert all(line.startswith("TAP_ZOHO_BULK_") for line in added.splitlines())
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    variables = {k: v for k, v in dotenv_values(output).items() if v is not None}
    running = tap.start(None, "--config=ENV", "--test", environment=variables)
    assert "Connected to" in tap.finish(running, server).stderr


def test_an_env_file_signs_in_again_with_what_it_holds(
    login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    output = tmp_path / ".env"
    first = run_with_code(login, server, "--format", "env", "--output", str(output))
    assert first.exit_code == 0, first.shown
    nothing = {
        f"TAP_ZOHO_BULK_{name}": ""
        for name in ("CLIENT_ID", "CLIENT_SECRET", "ACCOUNTS_URL", "API_URL")
    }

    again = run_with_code(
        login, server, "--format", "env", "--output", str(output), environment=nothing
    )

    assert again.exit_code == 0, again.shown
    assert dotenv_values(output)["TAP_ZOHO_BULK_REFRESH_TOKEN"] in server.secrets


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("NAME=1\nNAME=2", "NAME='3'\nNAME='3'\n"),
        ("'NAME'=1", "NAME='3'\n"),
        ("\n  export NAME", "\n  export NAME='3'\n"),
        ("# NAME=1", "# NAME=1\nNAME='3'\n"),
    ],
    ids=["twice", "quoted", "exported", "in a comment"],
)
def test_an_env_file_has_each_variable_replaced_wherever_it_stands(before: str, after: str) -> None:
    before, after = (text.replace("NAME", "TAP_ZOHO_BULK_CLIENT_ID") for text in (before, after))

    assert EnvFormat().merge(before, {"client_id": "3"}) == after
    assert EnvFormat().parse(after) == {"client_id": "3"}


@pytest.mark.parametrize("value", ["it's", 'a "b"', "back\\slash", "$HOME #1", "", "ü\n"])
def test_an_env_file_holds_any_value(value: str) -> None:
    text = EnvFormat().merge("A=1", {"client_secret": value, "modules": ["Leads"]})

    assert dotenv_values(stream=io.StringIO(text), interpolate=False) == {
        "A": "1",
        "TAP_ZOHO_BULK_CLIENT_SECRET": value,
        "TAP_ZOHO_BULK_MODULES": '["Leads"]',
    }
    assert EnvFormat().parse(text)["client_secret"] == value


def test_a_config_signs_in_again_with_what_it_holds(
    tap: TapCommand, login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    output = tmp_path / "config.json"
    output.write_text(json.dumps(server.tap_config(refresh_token="1000.revoked")))
    nothing = {
        f"TAP_ZOHO_BULK_{name}": ""
        for name in ("CLIENT_ID", "CLIENT_SECRET", "ACCOUNTS_URL", "API_URL")
    }

    run = run_with_code(login, server, "--output", str(output), environment=nothing)

    assert run.exit_code == 0, run.shown
    assert_connects(tap, server, output)


@pytest.mark.parametrize("force", [False, True])
def test_another_clients_config_changes_only_by_force(
    login: Login, server: ZohoServer, tmp_path: Path, *, force: bool
) -> None:
    output = tmp_path / "config.json"
    before = {"client_id": "1000.other", "client_secret": "other", "modules": ["Leads"]}
    output.write_text(json.dumps(before))

    run = run_with_code(login, server, "--output", str(output), *["--force"] * force)

    after = json.loads(output.read_text())
    if force:
        assert run.exit_code == 0, run.shown
        assert after["client_id"] == server.desk.client_id
        assert after["client_secret"] == server.desk.client_secret
        assert after["modules"] == ["Leads"]
    else:
        assert run.exit_code == ExitCode.FIX_FIRST
        assert "another client" in run.shown
        assert after == before
        assert not server.requests


def test_another_clients_secret_is_not_used(
    login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    output = tmp_path / "config.json"
    output.write_text(json.dumps({"client_id": "1000.other", "client_secret": "other"}))
    unset = {"TAP_ZOHO_BULK_CLIENT_SECRET": ""}

    run = run_with_code(login, server, "--output", str(output), "--force", environment=unset)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "There is no terminal to prompt for the client secret" in run.shown


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "JSON"),
        ("[]", "JSON object"),
        (b"\xff", "Cannot read"),
        ('{"data_center": "mars", "client_secret": 5}', "`data_center`"),
        ('{"client_id": 5}', "another client"),
    ],
)
def test_a_file_that_is_no_config_stays_as_it_is(
    login: Login, server: ZohoServer, tmp_path: Path, content: str | bytes, told: str
) -> None:
    output = tmp_path / "config.json"
    raw = content if isinstance(content, bytes) else content.encode()
    output.write_bytes(raw)

    run = run_with_code(login, server, "--output", str(output))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert told in run.shown
    assert output.read_bytes() == raw
    assert not server.requests


def test_a_folder_that_is_not_there_is_told_before_anything_is_asked(
    login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    run = run_with_code(login, server, "--output", str(tmp_path / "none" / "config.json"))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "is not a writable folder" in run.shown
    assert not server.requests


def test_nobody_else_can_read_the_file_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    really = os.fsync

    def look(descriptor: int) -> None:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())
        really(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0)
    try:
        ConfigFile(tmp_path / "config.json", JsonFormat()).merge({"client_secret": "s3cret"})
    finally:
        os.umask(before)

    assert seen == [0o600]
    assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "config.json"
    output.write_text('{"modules": ["Leads"]}')

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        ConfigFile(output, JsonFormat()).merge({"client_secret": "s3cret"})

    assert output.read_text() == '{"modules": ["Leads"]}'
    assert list(tmp_path.iterdir()) == [output]
