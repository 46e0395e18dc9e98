"""The consent page: which requests it accepts and refuses, and its codes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from local_zoho_crm import Organisation
from local_zoho_crm.browser import SECONDS, decide

if TYPE_CHECKING:
    from conftest import Serve
    from local_zoho_crm import ZohoServer

BACK = "https://client.example/back"


@pytest.fixture
def organisation() -> Organisation:
    return Organisation()


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation, redirect_uris=[BACK], location="eu")


def consent_url(server: ZohoServer, **changed: str | None) -> str:
    query = {
        "response_type": "code",
        "client_id": server.desk.client_id,
        "scope": "ZohoCRM.bulk.READ,ZohoCRM.org.READ",
        "redirect_uri": BACK,
        "access_type": "offline",
        "prompt": "consent",
        "state": "a b&c",
        **changed,
    }
    asked = {name: value for name, value in query.items() if value is not None}
    return f"{server.url}/oauth/v2/auth?{urlencode(asked)}"


def answer(server: ZohoServer, decision: str = "accept", **changed: str | None) -> dict[str, str]:
    """Submit the consent page and return the parameters of the redirect."""
    location = decide(consent_url(server, **changed), decision, follow=False).headers["Location"]
    assert location.startswith(f"{BACK}?")
    return dict(parse_qsl(urlsplit(location).query))


def exchange(server: ZohoServer, code: str, **form: str) -> Any:
    client = {"client_id": server.desk.client_id, "client_secret": server.desk.client_secret}
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    response = requests.post(
        f"{server.url}/oauth/v2/token", data={**client, **grant, **form}, timeout=SECONDS
    )
    return response.json()


def test_consent_gives_a_code_for_what_was_asked(server: ZohoServer) -> None:
    got = answer(server)

    assert got["location"] == "eu"
    assert got["accounts-server"] == server.url
    assert got["state"] == "a b&c"
    tokens = exchange(server, got["code"])
    assert tokens["scope"] == "ZohoCRM.bulk.READ ZohoCRM.org.READ"
    assert {tokens["refresh_token"], tokens["access_token"], got["code"]} <= set(server.secrets)
    assert exchange(server, got["code"]) == {"error": "invalid_code"}


def test_a_denial_is_an_error(server: ZohoServer) -> None:
    assert answer(server, "reject") == {"error": "access_denied", "state": "a b&c"}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"client_id": "1000.other"}, "Invalid Client"),
        ({"redirect_uri": f"{BACK}/"}, "Invalid Redirect Uri"),
        ({"redirect_uri": None}, "Invalid Redirect Uri"),
        ({"response_type": None}, "Invalid Response Type"),
        ({"scope": None}, "Invalid OAuth Scope"),
        ({"scope": "ZohoCRM.bulk.READ ZohoCRM.org.READ"}, "Invalid OAuth Scope"),
        ({"access_type": "always"}, "Invalid Access Type"),
        ({"prompt": "login"}, "Invalid Prompt"),
    ],
)
def test_what_the_page_refuses(
    server: ZohoServer, changed: dict[str, str | None], problem: str
) -> None:
    page = requests.get(consent_url(server, **changed), timeout=SECONDS, allow_redirects=False)

    assert page.status_code == 400
    assert problem in page.text


def test_a_code_lives_two_minutes(server: ZohoServer, organisation: Organisation) -> None:
    first, second = answer(server)["code"], answer(server)["code"]

    organisation.advance(timedelta(seconds=119))
    assert "refresh_token" in exchange(server, first)
    organisation.advance(timedelta(seconds=2))
    assert exchange(server, second) == {"error": "invalid_code"}


def test_a_code_is_for_its_redirect_uri(server: ZohoServer) -> None:
    code = answer(server)["code"]

    assert exchange(server, code, redirect_uri="https://other.example") == {
        "error": "invalid_redirect_uri"
    }


@pytest.mark.parametrize("access_type", ["online", None])
def test_no_refresh_token_without_offline_access(
    server: ZohoServer, access_type: str | None
) -> None:
    tokens = exchange(server, answer(server, access_type=access_type)["code"])

    assert tokens["access_token"]
    assert "refresh_token" not in tokens


def test_a_refresh_token_is_given_once_without_prompt(server: ZohoServer) -> None:
    assert "refresh_token" in exchange(server, answer(server, prompt=None)["code"])

    url = consent_url(server, prompt=None)
    again = requests.get(url, timeout=SECONDS, allow_redirects=False).headers["Location"]

    assert "refresh_token" not in exchange(server, dict(parse_qsl(urlsplit(again).query))["code"])


def test_a_ticket_is_used_once(server: ZohoServer) -> None:
    form = {"ticket": "ticket-0001", "decision": "accept"}
    answer(server)

    page = requests.post(f"{server.url}/oauth/v2/approve", data=form, timeout=SECONDS)

    assert page.status_code == 400
