"""Two syncs into each warehouse, as records and as files: every value, and only changes move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from local_zoho_crm import Organisation
from tests.support.due import Bookmarks, loads, moved
from tests.support.loaders import batch_config, duckdb_loader, postgres_loader
from tests.support.singer import FAST
from tests.support.warehouse import compare, differences

if TYPE_CHECKING:
    from pathlib import Path

    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.due import Loads
    from tests.support.loaders import Loader
    from tests.support.singer import Json, TapCommand
    from tests.support.warehouse import Warehouse

SIZES = {"Leads": 250, "Contacts": 120, "Custom_Projects": 1, "Quotes": 1, "Campaigns": 2}
SEPARATOR = ";"


@dataclass
class Way:
    """A loader, and whether records come to it in files."""

    loader: Loader
    is_batch: bool
    state: Json | None = None
    jobs: int = 0

    @property
    def warehouse(self) -> Warehouse:
        """What the loader fills."""
        return self.loader.warehouse

    def sync(self, tap: TapCommand, server: ZohoServer, catalog: Json) -> None:
        """Run tap and loader."""
        self.jobs = len(server.jobs)
        folder = self.loader.directory / "files"
        settings: Json = {**FAST, "multiselect_separator": SEPARATOR}
        if self.is_batch:
            settings["batch_config"] = batch_config(folder)
        config = server.tap_config(**settings)
        self.state = self.loader.load(tap.line(config, catalog=catalog, state=self.state))
        # Each file was loaded, and then removed.
        assert folder.exists() == self.is_batch
        assert not self.is_batch or not list(folder.iterdir())

    def tables(self, streams: list[str]) -> dict[str, list[Json]]:
        """Return the rows of all tables, without what the loader adds."""
        found = {name: self.warehouse.table(name) for name in streams}
        return {
            name: sorted(
                (
                    {key: value for key, value in row.items() if not key.startswith("_sdc_")}
                    for row in table.rows
                ),
                key=repr,
            )
            for name, table in found.items()
            if table
        }


def test_every_value_arrives_and_then_only_changes_move(
    tap: TapCommand, serve: Serve, tmp_path: Path, postgres: str
) -> None:
    organisation = Organisation.generate(seed=7, sizes=SIZES, awkward=0.4)
    accounts = sorted(organisation.truth("Accounts"))
    organisation.delete("Accounts", accounts[0])
    organisation.delete("Accounts", accounts[1])
    server = serve(organisation, page_size=100)
    ways = [
        Way(loader, is_batch=is_batch)
        for is_batch in (False, True)
        for loader in (
            duckdb_loader(tmp_path / f"duckdb-{is_batch}"),
            postgres_loader(tmp_path / f"postgres-{is_batch}", postgres, f"zoho_{is_batch}"),
        )
    ]
    catalog = tap.discover(server, multiselect_separator=SEPARATOR)
    streams = [each["tap_stream_id"] for each in catalog["streams"]]

    before: list[tuple[Loads, Bookmarks]] = []
    for way in ways:
        way.sync(tap, server, catalog)
        found = compare(way.warehouse, organisation, multiselect_separator=SEPARATOR)
        assert not differences(found)
        assert {each.module for each in found} >= {
            name for name in organisation.modules if organisation.truth(name)
        }
        assert sum(each.values for each in found) > 10_000
        bookmarks = Bookmarks.of(organisation, server, way.jobs)
        before.append((loads(way.warehouse, organisation), bookmarks))
    check_same(ways, streams)

    organisation.advance(timedelta(seconds=5))
    change(organisation)
    for way, (loaded, bookmarks) in zip(ways, before, strict=True):
        way.sync(tap, server, catalog)
        found = compare(way.warehouse, organisation, multiselect_separator=SEPARATOR)
        assert not differences(found)
        assert {each.module: each.deleted for each in found if each.deleted} == {
            "Leads": 3,
            "Contacts": 1,
            "DealHistory": 1,
        }
        now = loads(way.warehouse, organisation)
        assert moved(loaded, now) == bookmarks.due(organisation)
    check_same(ways, streams)


def check_same(ways: list[Way], streams: list[str]) -> None:
    """Check that files make the tables that records make, in each warehouse."""
    records, files = (
        [way.tables(streams) for way in ways if way.is_batch == is_batch]
        for is_batch in (False, True)
    )
    assert all(len(tables) > 15 for tables in records)
    assert files == records


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


def test_a_difference_is_seen(tap: TapCommand, serve: Serve, tmp_path: Path) -> None:
    organisation = Organisation.generate(seed=3, only=["Leads", "Tasks"], sizes={"Leads": 5})
    loader = duckdb_loader(tmp_path / "loader")
    warehouse = loader.warehouse
    server = serve(organisation)
    loader.load(tap.line(server.tap_config(**FAST), catalog=tap.discover(server)))
    assert not differences(compare(warehouse, organisation))

    changed, deleted, *_ = sorted(organisation.truth("Leads"))
    organisation.update("Leads", changed, Company="Another")
    organisation.delete("Leads", deleted)
    (added,) = organisation.insert("Leads")

    found = differences(compare(warehouse, organisation))
    assert f"Leads: {deleted} should not be there" in found
    assert f"Leads: {added} is missing" in found
    assert any(f"{changed}.Company is " in each and "'Another'" in each for each in found)
    assert any(f"{changed}.Modified_Time is " in each for each in found)
    assert len(found) == 4
