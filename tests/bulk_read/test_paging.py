"""A module larger than a page arrives completely and once, with every API version's paging."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Fault, Organisation

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

RECORDS, PAGE_SIZE, PAGES = 450, 100, 5
CREATE = r"^/crm/bulk/v\d/read$"


@pytest.fixture
def deals() -> Organisation:
    return Organisation.generate(seed=11, only=["Deals"], sizes={"Deals": RECORDS})


@pytest.mark.parametrize("version", ["v7", "v8"])
def test_later_jobs_are_asked_for_by_page_token_alone(
    tap: TapCommand, serve: Serve, deals: Organisation, version: str
) -> None:
    server = serve(deals, page_size=PAGE_SIZE)

    run = tap.sync(server, api_version=version)

    assert run.by_id("Deals") == deals.truth("Deals")
    first, *later = [request.json for request in server.requests_matching("POST", CREATE)]
    assert first["query"]["module"] == {"api_name": "Deals"}
    assert "page_token" not in first["query"]
    assert len(later) == PAGES - 1
    assert [set(body) for body in later] == [{"query"}] * len(later)
    assert [set(body["query"]) for body in later] == [{"page_token"}] * len(later)
    assert len({body["query"]["page_token"] for body in later}) == len(later)
    assert [job.page for job in server.jobs] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("version", ["v2", "v3", "v4", "v5", "v6"])
def test_later_jobs_are_asked_for_by_page_number(
    tap: TapCommand, serve: Serve, deals: Organisation, version: str
) -> None:
    server = serve(deals, page_size=PAGE_SIZE)

    run = tap.sync(server, api_version=version)

    assert run.by_id("Deals") == deals.truth("Deals")
    queries = [request.json["query"] for request in server.requests_matching("POST", CREATE)]
    assert [query.get("page", 1) for query in queries] == [1, 2, 3, 4, 5]
    named = "Deals" if version == "v2" else {"api_name": "Deals"}
    assert [query["module"] for query in queries] == [named] * PAGES
    assert {tuple(query["fields"]) for query in queries} == {tuple(queries[0]["fields"])}


def test_a_version_with_tokens_falls_back_to_numbers_where_zoho_gives_none(
    tap: TapCommand, serve: Serve, deals: Organisation
) -> None:
    server = serve(deals, page_size=PAGE_SIZE, page_tokens=False)

    run = tap.sync(server)

    assert run.by_id("Deals") == deals.truth("Deals")
    assert [job.page for job in server.jobs] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("records", [99, 100, 101])
def test_no_record_is_lost_at_a_page_boundary(tap: TapCommand, serve: Serve, records: int) -> None:
    organisation = Organisation.generate(only=["Deals"], sizes={"Deals": records})
    server = serve(organisation, page_size=100)

    run = tap.sync(server)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert len(server.jobs) == (1 if records <= 100 else 2)


def test_the_next_page_is_made_before_a_page_is_downloaded(
    tap: TapCommand, serve: Serve, deals: Organisation
) -> None:
    server = serve(deals, page_size=PAGE_SIZE)

    tap.sync(server)

    kinds = [
        "create" if request.method == "POST" else "download"
        for request in server.requests
        if request.path.endswith(("/read", "/result"))
    ]
    # Zoho prepares page n + 1 while page n is downloaded; there is none after the last.
    expected = ["create"]
    for _ in range(PAGES - 1):
        expected += ["create", "download"]
    assert kinds == [*expected, "download"]


def test_an_expired_page_token_begins_the_chain_anew_once(
    tap: TapCommand, serve: Serve, deals: Organisation
) -> None:
    server = serve(deals, page_size=PAGE_SIZE)
    stale = Fault(
        method="POST",
        path=CREATE,
        skip=2,
        status=400,
        body={
            "data": [
                {
                    "code": "INVALID_REQUEST",
                    "message": "The page token is expired.",
                    "details": {"api_name": "page_token"},
                    "status": "error",
                }
            ]
        },
        times=2,  # the job created ahead, and again when its turn comes
    )
    server.faults.add(stale)

    run = tap.sync(server)

    assert {record["id"]: record for record in run.records("Deals")} == deals.truth("Deals")
    assert "page 1" in run.stderr
    assert stale.hits == 2
