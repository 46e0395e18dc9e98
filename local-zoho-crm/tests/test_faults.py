"""Faults that tests inject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from local_zoho_crm import Fault, RandomFaults, too_many_requests
from zoho_client import leads

if TYPE_CHECKING:
    from zoho_client import Client


@pytest.mark.parametrize("kind", ["reset", "lost", "truncate"])
def test_connections_break(client: Client, kind: Any) -> None:
    job_id = client.start(leads())
    client.details(job_id)
    client.server.faults.add(Fault(kind=kind, path="/result$"))
    with pytest.raises(requests.RequestException):
        client.download(job_id)
    assert client.download(job_id).status_code == 200


def test_a_lost_answer_is_of_a_request_that_was_handled(client: Client) -> None:
    for kind, jobs in (("reset", 0), ("lost", 1)):
        client.server.faults.add(Fault(kind=kind, method="POST", path="/read$"))  # type: ignore[arg-type]
        with pytest.raises(requests.ConnectionError):
            client.post(leads())
        assert len(client.server.jobs) == jobs


def test_a_corrupt_zip(client: Client) -> None:
    job_id = client.start(leads())
    client.details(job_id)
    client.server.faults.add(Fault(kind="corrupt"))
    damaged, whole = client.download(job_id).content, client.download(job_id).content
    assert len(damaged) == len(whole)
    assert damaged != whole


def test_answers_are_replaced(client: Client) -> None:
    client.server.faults.add(
        too_many_requests(path="/org$", skip=1, headers={"Retry-After": "7"}),
        Fault(status=200, body="<html>", path="/users$"),
        Fault(kind="redirect", path="/roles$", location="https://elsewhere.example/"),
        Fault(kind="vanish"),
    )
    assert client.get("/crm/v8/org").status_code == 200
    limited = client.get("/crm/v8/org")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert client.get("/crm/v8/org").status_code == 200
    assert client.get("/crm/v8/users").text == "<html>"
    url = f"{client.server.url}/crm/v8/settings/roles"
    moved = client.session.get(url, allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (302, "https://elsewhere.example/")
    assert client.download("1").status_code == 400


def test_jobs_go_wrong(client: Client) -> None:
    faults = client.server.faults
    faults.add(Fault(kind="job_failure", module="Contacts"), Fault(kind="job_stuck", polls=2))
    stuck = client.start(leads())
    failed = client.start({"query": {"module": {"api_name": "Contacts"}}})
    fine = client.start(leads())

    states = [client.details(stuck)["state"] for _ in range(3)]
    assert states == ["IN PROGRESS", "IN PROGRESS", "COMPLETED"]
    details = client.details(failed)
    assert details["state"] == "FAILURE"
    assert details["result"]["error_message"]["code"] == "INTERNAL_SERVER_ERROR"
    assert client.download(failed).status_code == 400
    assert client.details(fine)["state"] == "COMPLETED"


def test_result_files_go_wrong(client: Client) -> None:
    client.server.faults.add(
        Fault(kind="count_off_by", off_by=-1),
        Fault(kind="drop_column", column="Company"),
        Fault(kind="ragged_row"),
        Fault(kind="download_url", location="https://elsewhere.example/{job_id}"),
    )
    job_id = client.start(leads(fields=["Company", "Owner"]))
    result = client.details(job_id)["result"]
    assert result["count"] == 19
    assert result["download_url"] == f"https://elsewhere.example/{job_id}"
    lines = client.text(job_id).splitlines()
    assert lines[0] == "Id,Owner"
    assert sum(line.count(",") == 0 for line in lines) == 1


def test_random_faults_are_the_same_for_a_seed() -> None:
    def struck() -> list[str | None]:
        faults = RandomFaults(seed=5, rate=0.5)
        found = [faults.strike("GET", "/crm/v8/org") for _ in range(50)]
        return [f"{fault.kind} {fault.status}" if fault else None for fault in found]

    assert struck() == struck()
    assert 10 < sum(each is not None for each in struck()) < 40
    assert RandomFaults(seed=5, rate=1).strike("POST", "/oauth/v2/token") is None
