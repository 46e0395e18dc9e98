"""Access to the API: the authorization header, scopes, and the cost of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoho_client import code, leads, serving

if TYPE_CHECKING:
    from local_zoho_crm import Organisation
    from zoho_client import Client


@pytest.mark.parametrize("header", ["Bearer {}", "{}", "Zoho-oauthtoken x{}"])
def test_only_zohos_own_authorization_scheme_passes(client: Client, header: str) -> None:
    answer = client.get("/crm/v8/org", Authorization=header.format(client.access_token))
    assert (answer.status_code, code(answer)) == (401, "INVALID_TOKEN")


def test_scopes_are_checked(organisation: Organisation) -> None:
    scopes = ["ZohoCRM.bulk.ALL", "ZohoCRM.modules.leads.READ", "ZohoCRM.settings.ALL"]
    with serving(organisation, scopes=scopes) as client:
        assert client.get("/crm/v8/settings/fields?module=Leads").status_code == 200
        assert client.post(leads()).status_code == 201
        for answer in (
            client.get("/crm/v8/users"),
            client.get("/crm/v8/Contacts/deleted"),
            client.post({"query": {"module": {"api_name": "Contacts"}}}),
        ):
            assert (answer.status_code, code(answer)) == (401, "OAUTH_SCOPE_MISMATCH")


def test_credits_are_counted(client: Client, organisation: Organisation) -> None:
    organisation.delete("Leads", next(iter(organisation.module("Leads").records)))
    job_id = client.start(leads())
    assert client.server.credits == 50
    client.details(job_id)
    client.download(job_id)
    assert client.server.credits == 52
    client.get("/crm/v8/Leads/deleted")
    client.get("/crm/v8/Leads/actions/count")
    assert client.server.credits == 55


def test_credits_of_a_day_run_out(organisation: Organisation) -> None:
    with serving(organisation, daily_credits=53) as client:
        answers = [client.get("/crm/v8/org") for _ in range(2)]
        assert client.post(leads()).status_code == 201
        answers += [client.get("/crm/v8/org") for _ in range(2)]
    left = [answer.headers.get("X-API-CREDITS-REMAINING") for answer in answers]
    assert left == [None, None, "0", "0"]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
