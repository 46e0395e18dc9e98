"""A sync says once what its catalog lacks by now, and errors of an old catalog say what to do."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Fault, Field
from tests.support.organisations import small_module, small_organisation
from tests.support.singer import select

if TYPE_CHECKING:
    from local_zoho_crm import Organisation, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

METADATA = r"/settings/"
SELECTED: dict[str, None] = dict.fromkeys(["Alpha", "Beta"])


@pytest.fixture
def organisation() -> Organisation:
    return small_organisation({"Alpha": 7, "Beta": 3, "Gamma": 1})


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation)


def days_later(state: Json, days: float = 2) -> Json:
    """Return the state of a run as if some days had passed since its look at the catalog."""
    at = datetime.now(timezone.utc) - timedelta(days=days)
    return {**state, "catalog_check": {**state["catalog_check"], "at": at.isoformat()}}


def test_what_a_catalog_lacks_is_logged_once(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    catalog = select(tap.discover(server), SELECTED)
    first = tap.sync(server, catalog=catalog)
    organisation.add_module(small_module("Delta"))
    organisation.module("Alpha").fields["Extra"] = Field("Extra", "text")
    organisation.module("Beta").fields["Name"] = Field("Name", "textarea")
    organisation.module("Gamma").fields["Unread"] = Field("Unread", "text")  # deselected

    asked = len(server.requests_matching("GET", METADATA))
    same_day = tap.sync(server, catalog=catalog, state=first.state)
    assert len(server.requests_matching("GET", METADATA)) == asked
    assert not same_day.events("catalog_outdated")

    later = tap.sync(server, catalog=catalog, state=days_later(same_day.state))
    # The list of modules, and the fields of Alpha, Beta and Delta.
    assert len(server.requests_matching("GET", METADATA)) == asked + 4
    found = later.event("catalog_outdated")
    assert found["new_modules"] == ["Delta"]
    assert found["new_fields"] == ["Alpha.Extra"]
    assert found["retyped"] == {"Beta.Name": ["text", "textarea"]}
    line = later.line("Delta", "Alpha.Extra", "Beta.Name (text, now textarea)", level="WARNING")
    assert "--discover" in line

    again = tap.sync(server, catalog=catalog, state=days_later(later.state))
    assert not again.events("catalog_outdated")
    del organisation.module("Alpha").fields["Notes"]
    more = tap.sync(server, catalog=catalog, state=days_later(again.state))
    assert more.event("catalog_outdated")["gone_fields"] == ["Alpha.Notes"]


@pytest.mark.parametrize("code", ["OAUTH_SCOPE_MISMATCH", "INTERNAL_ERROR"])
def test_a_look_that_fails_fails_nothing(tap: TapCommand, server: ZohoServer, code: str) -> None:
    catalog = select(tap.discover(server), SELECTED)
    first = tap.sync(server, catalog=catalog)
    body = {"code": code, "message": "", "status": "error"}
    server.faults.add(Fault(path=METADATA, status=401, body=body, times=None))

    run = tap.sync(server, catalog=catalog, state=days_later(first.state), max_retries=0)

    assert not [line for line in run.stderr.splitlines() if "| WARNING " in line]
    assert run.state["catalog_check"]["at"] >= first.state["catalog_check"]["at"]


def test_errors_of_an_old_catalog_say_to_discover_it_again(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    catalog = select(tap.discover(server), SELECTED)
    organisation.module("Alpha").fields["Amount"] = Field("Amount", "text")
    for record_id in organisation.module("Alpha").records:
        organisation.update("Alpha", record_id, Amount="many")
    del organisation.modules["Beta"]
    del organisation.module("Alpha").fields["Notes"]

    run = tap.run(server, catalog=catalog)

    assert run.exit_code
    assert "iscover the catalog again" in run.line(
        "`Notes`", "FIELD_NOT_AVAILABLE", level="WARNING"
    )
    assert "iscover the catalog again" in run.line("Alpha failed", "`Amount`")
    assert "iscover the catalog again" in run.line("Beta failed", "MODULE_NOT_AVAILABLE")
