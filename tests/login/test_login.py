"""`tap-zoho-bulk-login`: with a browser, with a browser on another machine, with a code."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from local_zoho_crm import Fault
from local_zoho_crm.browser import SECONDS, decide
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.login import ALL_SCOPES, assert_connects, ended, redirect_uri, token_requests

if TYPE_CHECKING:
    from pathlib import Path

    from local_zoho_crm import Organisation, ZohoServer
    from tests.conftest import Login
    from tests.support.singer import TapCommand


# In a browser


def test_consent_in_a_browser_gives_a_config_with_which_the_tap_connects(
    tap: TapCommand, login: Login, server: ZohoServer, port: int, tmp_path: Path
) -> None:
    output = tmp_path / "config.json"

    running = login(server, "--output", str(output))
    page = decide(running.consent_url())
    run = ended(server, running)

    assert run.exit_code == 0, run.shown
    assert not run.stdout
    (form,) = token_requests(server)
    assert form["redirect_uri"] == redirect_uri(port)
    assert page.status_code == 200
    assert "response has arrived" in page.text
    assert form["code"] not in page.text
    assert json.loads(output.read_text()) == {
        **server.tap_config(),
        "refresh_token": server.secrets[2],
        "data_center": "us",
    }
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert f"tap-zoho-bulk --config {output} --test" in run.shown
    assert_connects(tap, server, output)


def test_all_scopes_are_asked_for_with_offline_access_and_another_state_each_time(
    login: Login, server: ZohoServer, port: int
) -> None:
    states = set()
    for _ in range(2):
        running = login(server)
        query = parse_qs(urlsplit(running.consent_url()).query, strict_parsing=True)
        running.close()
        states.add(query.pop("state")[0])

        assert query == {
            "response_type": ["code"],
            "client_id": [server.desk.client_id],
            "scope": [",".join(ALL_SCOPES)],
            "redirect_uri": [redirect_uri(port)],
            "access_type": ["offline"],
            "prompt": ["consent"],
        }
    assert len(states) == 2
    assert all(len(state) >= 32 for state in states)


def test_without_output_stdout_carries_the_config_alone(
    tap: TapCommand, login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    running = login(server, "--environment", "sandbox")
    decide(running.consent_url())
    run = ended(server, running)

    assert run.exit_code == 0, run.shown
    config = json.loads(run.stdout)
    assert set(config) == {*server.tap_config(), "data_center", "environment"}
    assert config["environment"] == "sandbox"
    (tmp_path / "printed.json").write_text(run.stdout)
    assert_connects(tap, server, tmp_path / "printed.json")


@pytest.mark.parametrize("flags", [[], ["--no-browser"]])
def test_a_browser_is_opened_where_there_is_one(
    login: Login, server: ZohoServer, tmp_path: Path, flags: list[str]
) -> None:
    """The browser prints text, as some do, and still runs when the command has ended."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        "print('Opening in existing browser session.', flush=True)\n"
        f"pathlib.Path({str(opened)!r}).write_text(sys.argv[1])\n"
    )
    browser.chmod(0o700)
    os.mkfifo(opened)

    running = login(server, *flags, environment={"BROWSER": f"{browser} %s"})
    url = running.consent_url()
    if flags:
        assert "Zoho's page opens" not in running.wait_for(r"[\s\S]+authorized redirect URIs")
    else:
        assert opened.read_text() == url
    decide(url)
    run = ended(server, running)

    assert run.exit_code == 0, run.shown
    assert json.loads(run.stdout)["refresh_token"] in server.secrets


def test_a_denial_ends_it_in_words(login: Login, server: ZohoServer, tmp_path: Path) -> None:
    running = login(server, "--output", str(tmp_path / "config.json"))
    page = decide(running.consent_url(), "reject")
    run = ended(server, running)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "Consent was denied" in run.shown
    assert "Consent was denied" in page.text
    assert not token_requests(server)
    assert not list(tmp_path.iterdir())


def test_answers_to_another_sign_in_count_for_nothing(
    login: Login, server: ZohoServer, port: int
) -> None:
    running = login(server)
    url = running.consent_url()
    stray = [
        {"code": "1000.forged", "state": "forged", "location": "us"},
        {"code": "1000.forged"},
        {"error": "<b>forged</b>"},
        {"error": "access_denied", "state": "forged"},
        {},
    ]

    for query in stray:
        page = requests.get(redirect_uri(port), params=query, timeout=SECONDS)
        assert page.status_code == 400, query
        assert "forged" not in page.text
    for path in ("/", "/favicon.ico", "/callback/"):
        page = requests.get(f"http://127.0.0.1:{port}{path}", timeout=SECONDS)
        assert page.status_code == 404
    decide(url)
    run = ended(server, running)

    assert run.exit_code == 0, run.shown
    assert len(token_requests(server)) == 1
    assert "forged" not in run.shown


def test_a_denial_may_lack_the_state(login: Login, server: ZohoServer, port: int) -> None:
    running = login(server)
    running.consent_url()
    requests.get(redirect_uri(port), params={"error": "access_denied"}, timeout=SECONDS)

    assert "Consent was denied" in ended(server, running).shown


def test_another_error_is_told_without_its_markup(
    login: Login, server: ZohoServer, port: int
) -> None:
    running = login(server)
    state = parse_qs(urlsplit(running.consent_url()).query)["state"]
    error = "<b>odd</b>\x1b[2J"
    page = requests.get(
        redirect_uri(port), params={"error": error, "state": state}, timeout=SECONDS
    )
    run = ended(server, running)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "Zoho issued no code: <b>odd</b>\\x1b[2J." in run.shown
    assert "&lt;b&gt;odd" in page.text
    assert "<b>" not in page.text


def test_connections_that_a_browser_opens_and_leaves_unused_are_in_nobodys_way(
    login: Login, server: ZohoServer, port: int
) -> None:
    running = login(server)
    url = running.consent_url()
    with ExitStack() as unused:
        for _ in range(3):
            unused.enter_context(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
        decide(url)
        assert ended(server, running).exit_code == 0


def test_no_answer_in_time_says_what_may_be_wrong(
    login: Login, server: ZohoServer, port: int
) -> None:
    run = ended(server, login(server, "--timeout", "1"))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "No response arrived within 1 s" in run.shown
    assert redirect_uri(port) in run.shown.rpartition("No response")[2]


def test_a_port_in_use_is_told(login: Login, server: ZohoServer, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        run = ended(server, login(server))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert f"Cannot listen on 127.0.0.1:{port}" in run.shown
    assert "--port" in run.shown


def test_ctrl_c_ends_it(login: Login, server: ZohoServer) -> None:
    # Background processes of a shell ignore SIGINT, and so do their children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = login(server)
    finally:
        signal.signal(signal.SIGINT, before)
    running.consent_url()
    running.interrupt()
    run = ended(server, running)

    assert run.exit_code == 1
    assert "Aborted!" in run.shown


def test_consent_without_offline_access_is_told(login: Login, server: ZohoServer) -> None:
    running = login(server)
    decide(running.consent_url().replace("access_type=offline", "access_type=online"))
    run = ended(server, running)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "no refresh token" in run.shown
    assert not run.stdout


# At a terminal, with the browser elsewhere or none


def test_the_address_of_a_browser_elsewhere_can_be_pasted(login: Login, server: ZohoServer) -> None:
    running = login(server, "--no-browser", terminal=True)
    url = running.consent_url()
    running.wait_for("paste it here")

    running.type("http://127.0.0.1/callback?code=1000.forged&state=forged\n")
    running.wait_for("response to another sign-in")
    running.type("http://[\n")
    running.wait_for("has no code")
    location = decide(url, follow=False).headers["Location"]
    running.type(f"\n{location}\n")
    run = ended(server, running, typed=location)

    assert run.exit_code == 0, run.shown
    assert json.loads(run.stdout)["refresh_token"] in server.secrets
    (form,) = token_requests(server)
    assert "redirect_uri" in form


def test_a_denial_can_be_pasted(login: Login, server: ZohoServer) -> None:
    running = login(server, terminal=True)
    url = running.consent_url()
    running.wait_for("paste it here")
    running.type(decide(url, "reject", follow=False).headers["Location"] + "\n")
    run = ended(server, running)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "Consent was denied" in run.shown


def test_a_self_clients_code_can_be_pasted_in_place_of_an_address(
    login: Login, server: ZohoServer
) -> None:
    running = login(server, terminal=True)
    running.wait_for("paste it here")
    running.type("two words\n")
    running.wait_for("single word")
    code = server.desk.authorization_code()
    running.type(f"  {code} \n")
    run = ended(server, running, typed=code)

    assert run.exit_code == 0, run.shown
    (form,) = token_requests(server)
    assert "redirect_uri" not in form


def test_a_terminal_is_asked_for_everything_and_does_not_show_the_secret(
    tap: TapCommand, login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    output = tmp_path / "config.json"
    nothing = {"TAP_ZOHO_BULK_CLIENT_ID": "", "TAP_ZOHO_BULK_CLIENT_SECRET": ""}

    running = login(server, "--output", str(output), "--code", terminal=True, environment=nothing)
    running.wait_for("Client ID: $")
    running.type(f"{server.desk.client_id}\n")
    running.wait_for("Client secret: $")
    running.type(f"{server.desk.client_secret}\n")
    running.wait_for(re.escape(",".join(ALL_SCOPES)))
    running.wait_for("Code: $")
    code = server.desk.authorization_code()
    running.type(f"{code}\n")
    run = ended(server, running, typed=code)

    assert run.exit_code == 0, run.shown
    assert not run.stdout
    assert_connects(tap, server, output)


def test_a_terminal_is_asked_for_the_data_center(login: Login, server: ZohoServer) -> None:
    running = login(server, terminal=True, environment={"TAP_ZOHO_BULK_ACCOUNTS_URL": ""})
    running.wait_for("Data center .*: $")
    running.type("mars\n")
    running.wait_for("is not one of")
    running.type("ca\n")

    assert running.consent_url().startswith("https://accounts.zohocloud.ca/oauth/v2/auth?")


@pytest.mark.parametrize(
    ("unset", "named"),
    [
        ("TAP_ZOHO_BULK_CLIENT_ID", "--client-id"),
        ("TAP_ZOHO_BULK_CLIENT_SECRET", "TAP_ZOHO_BULK_CLIENT_SECRET"),
    ],
)
def test_without_a_terminal_nothing_is_asked_for(
    login: Login, server: ZohoServer, unset: str, named: str
) -> None:
    run = ended(server, login(server, environment={unset: ""}))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert named in run.shown
    assert not server.requests


# A self client's code


def test_a_code_on_stdin_gives_a_config(
    tap: TapCommand, login: Login, server: ZohoServer, tmp_path: Path
) -> None:
    output = tmp_path / "config.json"
    stdin = f"{server.desk.authorization_code()}\n"

    run = ended(server, login(server, "--code", "-", "--output", str(output), stdin=stdin))

    assert run.exit_code == 0, run.shown
    assert_connects(tap, server, output)


@pytest.mark.parametrize("stdin", ["", "\n", "a code\n"])
def test_what_is_no_code_is_not_sent(login: Login, server: ZohoServer, stdin: str) -> None:
    run = ended(server, login(server, "--code", "-", stdin=stdin))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "That is not a code" in run.shown
    assert not server.requests


@pytest.mark.parametrize("wrong", ["unknown", "used", "expired"])
def test_a_code_that_does_not_do_is_told(
    login: Login, server: ZohoServer, organisation: Organisation, tmp_path: Path, wrong: str
) -> None:
    code = "1000.unknown" if wrong == "unknown" else server.desk.authorization_code()
    if wrong == "used":
        form = {"grant_type": "authorization_code", "code": code}
        client = {"client_id": server.desk.client_id, "client_secret": server.desk.client_secret}
        requests.post(f"{server.url}/oauth/v2/token", data={**form, **client}, timeout=SECONDS)
    if wrong == "expired":
        organisation.advance(timedelta(minutes=4))

    running = login(
        server, "--code", "-", "--output", str(tmp_path / "config.json"), stdin=f"{code}\n"
    )
    run = ended(server, running)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "invalid_code" in run.shown
    assert "two to ten minutes" in run.shown
    assert code not in run.shown
    assert not list(tmp_path.iterdir())


def test_a_redirected_code_is_not_taken_for_a_self_clients(
    login: Login, server: ZohoServer, port: int
) -> None:
    code = server.desk.redirected_code(ALL_SCOPES, redirect_uri(port), offline=True)

    run = ended(server, login(server, "--code", "-", stdin=code))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "invalid_redirect_uri" in run.shown
    assert "self client" in run.shown


@pytest.mark.parametrize("wrong", ["TAP_ZOHO_BULK_CLIENT_ID", "TAP_ZOHO_BULK_CLIENT_SECRET"])
def test_a_wrong_client_is_told(login: Login, server: ZohoServer, wrong: str) -> None:
    code = server.desk.authorization_code()

    running = login(server, "--code", "-", stdin=code, environment={wrong: "1000.wr0ng"})
    run = ended(server, running)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "invalid_client" in run.shown
    assert "wr0ng" not in run.shown


def test_an_answer_that_repeats_secrets_is_not_repeated(login: Login, server: ZohoServer) -> None:
    code = server.desk.authorization_code()
    told = {"error": f"odd {code} {server.desk.client_secret} {server.desk.client_id}"}
    server.faults.add(Fault(status=200, body=told, path="/oauth/v2/token"))

    run = ended(server, login(server, "--code", "-", stdin=code))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "odd (hidden) (hidden) (hidden)" in run.shown


def test_a_fault_that_passes_is_met_by_another_attempt(login: Login, server: ZohoServer) -> None:
    server.faults.add(Fault(status=503, path="/oauth/v2/token", headers={"Retry-After": "0"}))

    run = ended(server, login(server, "--code", "-", stdin=server.desk.authorization_code()))

    assert run.exit_code == 0, run.shown


def test_the_secret_is_no_option(login: Login, server: ZohoServer) -> None:
    run = login(server, "--client-secret", "x").end()

    assert run.exit_code == 2
    assert "No such option" in run.shown


def test_a_url_that_the_tap_would_not_take_is_refused_and_not_shown(
    login: Login, server: ZohoServer
) -> None:
    run = login(server, environment={"TAP_ZOHO_BULK_API_URL": "https://me:pass@x.example"}).end()

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "config['api_url']" in run.shown
    assert "pass" not in run.shown.replace("password", "")
