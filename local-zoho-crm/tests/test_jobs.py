"""A bulk read job's states, and the pages of a query."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from zoho_client import SECOND, Client, code, leads, serving

if TYPE_CHECKING:
    from local_zoho_crm import Organisation


def test_a_job_goes_through_its_states(organisation: Organisation) -> None:
    with serving(organisation, job_seconds=10, parallel_jobs=1) as client:
        first, second = client.start(leads()), client.start(leads())
        states = []
        for _ in range(11):
            states.append(client.details(first)["state"])
            assert "result" in client.details(first) or states[-1] != "COMPLETED"
            organisation.advance(SECOND)
        assert states == ["ADDED", "QUEUED", *["IN PROGRESS"] * 8, "COMPLETED"]
        assert client.details(second)["state"] == "QUEUED"
        organisation.advance(9 * SECOND)
        assert client.details(second)["state"] == "COMPLETED"


def test_a_result_is_refused_before_its_time_and_after_a_day(organisation: Organisation) -> None:
    with serving(organisation, job_seconds=10) as client:
        job_id = client.start(leads())
        assert client.download(job_id).status_code == 400
        organisation.advance(timedelta(seconds=10))
        assert client.download(job_id).status_code == 200
        organisation.advance(timedelta(days=1))
        client.session.headers["Authorization"] = (
            f"Zoho-oauthtoken {client.token().json()['access_token']}"
        )
        assert code(client.download(job_id)) == "RESOURCE_NOT_FOUND"


def test_a_job_runs_when_a_client_asks_or_when_the_server_runs_jobs(
    organisation: Organisation,
) -> None:
    with serving(organisation) as client:
        first, second = client.start(leads()), client.start(leads())
        client.server.run_jobs()
        third = client.start(leads())
        gone = next(iter(organisation.module("Leads").records))
        organisation.delete("Leads", gone)

        exported = []
        for job_id in (first, second, third):
            client.details(job_id)
            exported.append(gone in {row["Id"] for row in client.rows(job_id)})
        assert exported == [True, True, False]


def test_page_numbers_read_live_data(client: Client, organisation: Organisation) -> None:
    first = client.start(leads(page=1), "v3")
    before = [row for row in (client.details(first, "v3"), *client.rows(first)) if "Id" in row]
    organisation.delete("Leads", before[0]["Id"])
    second = client.start(leads(page=2), "v3")
    client.details(second, "v3")
    assert "next_page_token" not in client.details(first, "v3")["result"]

    # The deletion shifted the second page by one, so one record is missing.
    ids = sorted(organisation.module("Leads").records, key=int)
    assert [row["Id"] for row in client.rows(second)] == ids[20:40]
    assert ids[19] not in {row["Id"] for row in before}


def test_a_token_chain_keeps_its_ids_and_reads_values_live(
    client: Client, organisation: Organisation
) -> None:
    first = client.start(leads(fields=["Company"]))
    result = client.details(first)["result"]
    seen = {row["Id"] for row in client.rows(first)}
    new_id = organisation.insert("Leads")[0]
    gone, changed, *_ = [
        record_id for record_id in organisation.module("Leads").records if record_id not in seen
    ]
    organisation.delete("Leads", gone)
    organisation.update("Leads", changed, Company="changed")

    rows = []
    while token := result.get("next_page_token"):
        job_id = client.start({"query": {"page_token": token}})
        result = client.details(job_id)["result"]
        rows += client.rows(job_id)

    found = {row["Id"]: row["Company"] for row in rows}
    assert found[changed] == "changed"
    assert seen | set(found) == set(organisation.module("Leads").records) - {new_id}


def test_a_page_token_is_stable_and_lives_a_day(client: Client, organisation: Organisation) -> None:
    job_id = client.start(leads())
    token = client.details(job_id)["result"]["next_page_token"]
    assert client.details(job_id)["result"]["next_page_token"] == token
    body = {"query": {"page_token": token}}
    pages = [client.start(body), client.start(body)]
    for page in pages:
        client.details(page)
    assert client.text(pages[0]) == client.text(pages[1])

    organisation.advance(timedelta(days=1))
    again = Client(client.server)
    with again.session:
        assert again.post(body).status_code == 400


def test_a_page_token_is_its_users_own(client: Client, organisation: Organisation) -> None:
    token = client.details(client.start(leads()))["result"]["next_page_token"]
    user_id = list(organisation.users.records)[1]
    other = Client(client.server, client.server.desk.grant(user_id=user_id))
    with other.session:
        assert other.post({"query": {"page_token": token}}).status_code == 400
