"""Two syncs with Meltano into each warehouse: every value is there, and only changes move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from local_zoho_crm import Organisation, ZohoServer
from tests.support.due import Bookmarks, loads, moved
from tests.support.meltano_project import OWN_FIELDS, MeltanoProject
from tests.support.postgres import postgres_server
from tests.support.warehouse import SCHEMA, DuckDBWarehouse, PostgresWarehouse, compare, differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.warehouse import Warehouse

SIZES = {"Leads": 250, "Contacts": 120, "Custom_Projects": 1, "Quotes": 1, "Campaigns": 2}


@dataclass(frozen=True)
class Destination:
    """A warehouse, and the Meltano loader that fills it."""

    loader: str
    settings: dict[str, str]
    warehouse: Warehouse


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as uri:
        yield uri


@pytest.fixture(params=["duckdb", "postgres"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    if request.param == "duckdb":
        file = tmp_path / "test.duckdb"
        return Destination("target-duckdb", {"filepath": str(file)}, DuckDBWarehouse(file))
    uri = str(request.getfixturevalue("postgres"))
    with psycopg.connect(uri) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
    url = uri.replace("postgresql:", "postgresql+psycopg:")
    return Destination("target-postgres", {"sqlalchemy_url": url}, PostgresWarehouse(uri))


def test_every_value_arrives_and_then_only_changes_move(
    destination: Destination, tmp_path: Path
) -> None:
    organisation = Organisation.generate(seed=7, sizes=SIZES, awkward=0.4)
    accounts = sorted(organisation.truth("Accounts"))
    organisation.delete("Accounts", accounts[0])
    organisation.delete("Accounts", accounts[1])
    with ZohoServer(organisation, page_size=100) as server:
        project = MeltanoProject(
            tmp_path / "project",
            {
                "tap-zoho-bulk": server.tap_config(
                    _select=OWN_FIELDS, downloads_per_minute=1000, poll_interval_seconds=0.05
                ),
                destination.loader: destination.settings,
            },
        )
        warehouse = destination.warehouse

        project.run("tap-zoho-bulk", destination.loader)
        first = compare(warehouse, organisation)
        assert not differences(first)
        assert {each.module for each in first} >= {
            name for name in organisation.modules if organisation.truth(name)
        }
        assert sum(each.values for each in first) > 10_000
        before = loads(warehouse, organisation)
        bookmarks = Bookmarks.of(organisation, server)

        organisation.advance(timedelta(seconds=5))
        change(organisation)
        project.run("tap-zoho-bulk", destination.loader)

        second = compare(warehouse, organisation)
        assert not differences(second)
        assert {each.module: each.deleted for each in second if each.deleted} == {
            "Leads": 3,
            "Contacts": 1,
            "DealHistory": 1,
        }
        assert moved(before, loads(warehouse, organisation)) == bookmarks.due(organisation)


def change(organisation: Organisation) -> None:
    """Change, add, delete and restore records."""
    leads, contacts = sorted(organisation.truth("Leads")), sorted(organisation.truth("Contacts"))
    organisation.update("Leads", leads[0], Company='\\"', Last_Name="'quoted'")
    organisation.update("Leads", leads[1], Company=None)
    organisation.update("Contacts", contacts[0], Last_Name="NUL\0 and 🙂")
    organisation.insert("Leads", count=3)
    organisation.insert("Deals")
    for record_id in leads[10:13]:
        organisation.delete("Leads", record_id)
    organisation.delete("Contacts", contacts[1], permanent=True)
    # Full table, and its rows stay in the warehouse: only deleted_records shows it.
    organisation.delete("DealHistory", min(organisation.truth("DealHistory")))
    for record_id in list(organisation.module("Accounts").trash):
        organisation.restore("Accounts", record_id)


def test_a_difference_is_seen(tmp_path: Path) -> None:
    organisation = Organisation.generate(seed=3, only=["Leads", "Tasks"], sizes={"Leads": 5})
    file = tmp_path / "test.duckdb"
    with ZohoServer(organisation) as server:
        project = MeltanoProject(
            tmp_path / "project",
            {
                "tap-zoho-bulk": server.tap_config(_select=OWN_FIELDS),
                "target-duckdb": {"filepath": str(file)},
            },
        )
        project.run("tap-zoho-bulk", "target-duckdb")
    assert not differences(compare(DuckDBWarehouse(file), organisation))

    changed, deleted, *_ = sorted(organisation.truth("Leads"))
    organisation.update("Leads", changed, Company="Another")
    organisation.delete("Leads", deleted)
    (added,) = organisation.insert("Leads")

    found = differences(compare(DuckDBWarehouse(file), organisation))
    assert f"Leads: {deleted} should not be there" in found
    assert f"Leads: {added} is missing" in found
    assert any(f"{changed}.Company is " in each and "'Another'" in each for each in found)
    assert any(f"{changed}.Modified_Time is " in each for each in found)
    assert len(found) == 4
