"""Sign-in: tokens and codes, their lifetimes and limits."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import requests

from zoho_client import Client, code, serving

if TYPE_CHECKING:
    from conftest import Serve
    from local_zoho_crm import Organisation


def test_a_refresh_token_gives_an_access_token(client: Client) -> None:
    answer = client.token()

    assert answer.status_code == 200
    assert answer.json()["api_domain"] == client.server.url
    assert answer.json()["expires_in"] == 3600
    assert "refresh_token" not in answer.json()


def test_bad_credentials_answer_200(client: Client) -> None:
    for form, error in (
        ({"refresh_token": "1000.no"}, "invalid_code"),
        ({"client_secret": "no"}, "invalid_client"),
    ):
        answer = client.token(**form)
        assert (answer.status_code, answer.json()) == (200, {"error": error})


def test_secrets_in_the_url_are_refused(client: Client) -> None:
    config = client.server.tap_config()

    answer = requests.post(
        f"{client.server.url}/oauth/v2/token",
        params={"refresh_token": config["refresh_token"]},
        data={"grant_type": "refresh_token"},
        timeout=5,
    )

    assert answer.status_code == 400


def test_the_eleventh_token_request_in_ten_minutes_is_denied(
    client: Client, organisation: Organisation
) -> None:
    answers = [client.token() for _ in range(10)]

    assert [answer.status_code for answer in answers] == [200] * 9 + [400]
    assert answers[-1].json()["error"] == "Access Denied"

    organisation.advance(timedelta(minutes=10))
    assert client.token().status_code == 200


def test_an_access_token_lives_an_hour(client: Client, organisation: Organisation) -> None:
    organisation.advance(timedelta(minutes=59))
    assert client.get("/crm/v8/org").status_code == 200

    organisation.advance(timedelta(minutes=1))
    answer = client.get("/crm/v8/org")
    assert (answer.status_code, code(answer)) == (401, "INVALID_TOKEN")


def test_the_eleventh_access_token_evicts_the_first(organisation: Organisation) -> None:
    with serving(organisation, tokens_per_ten_minutes=None) as client:
        for _ in range(9):
            client.token()
        assert client.get("/crm/v8/org").status_code == 200
        client.token()
        assert client.get("/crm/v8/org").status_code == 401


def test_a_code_gives_a_refresh_token_once(client: Client) -> None:
    form = {"grant_type": "authorization_code", "code": client.server.desk.authorization_code()}

    first, second = client.token(**form), client.token(**form)

    assert client.token(refresh_token=first.json()["refresh_token"]).status_code == 200
    assert second.json() == {"error": "invalid_code"}


def test_client_credentials_give_the_scopes_that_were_asked_for(client: Client) -> None:
    soid = f"ZohoCRM.{client.server.organisation.company['zgid']}"

    answer = client.token(
        grant_type="client_credentials", scope="ZohoCRM.org.READ", soid=soid
    ).json()

    assert "refresh_token" not in answer
    client.session.headers["Authorization"] = f"Zoho-oauthtoken {answer['access_token']}"
    assert client.get("/crm/v8/org").status_code == 200
    assert code(client.get("/crm/v8/users")) == "OAUTH_SCOPE_MISMATCH"


def test_client_credentials_give_no_scope_that_the_client_may_not_have(
    organisation: Organisation, serve: Serve
) -> None:
    client = Client(serve(organisation, scopes=["ZohoCRM.settings.ALL"]))
    asked = "ZohoCRM.settings.fields.READ,ZohoCRM.org.READ"

    answer = client.token(
        grant_type="client_credentials",
        scope=asked,
        soid=f"ZohoCRM.{organisation.company['zgid']}",
    ).json()

    assert answer["scope"] == "ZohoCRM.settings.fields.READ"


def test_client_credentials_need_the_organisation(client: Client) -> None:
    form = {"grant_type": "client_credentials", "scope": "ZohoCRM.org.READ"}

    assert client.token(**form).json() == {"error": "missing_org_info"}


def test_the_twenty_first_refresh_token_deletes_the_first(client: Client) -> None:
    desk = client.server.desk
    first = desk.refresh_token

    for _ in range(19):
        desk.grant()
    assert "access_token" in client.token(refresh_token=first).json()
    desk.grant()

    assert client.token(refresh_token=first).json() == {"error": "invalid_code"}
    assert first in client.server.secrets


def test_all_secrets_are_known(client: Client) -> None:
    config = client.server.tap_config()
    expected = {client.access_token, config["client_secret"], config["refresh_token"]}
    assert expected <= set(client.server.secrets)


def test_forgotten_tokens_are_invalid(client: Client) -> None:
    client.server.forget_tokens()
    assert code(client.get("/crm/v8/org")) == "INVALID_TOKEN"


def test_a_form_that_is_not_utf8_is_refused(client: Client) -> None:
    answer = client.session.post(f"{client.server.url}/oauth/v2/token", data=b"client_id=\xff")
    assert (answer.status_code, answer.json()) == (200, {"error": "invalid_client"})
