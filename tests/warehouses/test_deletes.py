"""After edits, deletes, restores and removed subform rows, warehouses equal Zoho without a join."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.batches import config
from tests.support.singer import FAST, select
from tests.support.warehouse import compare, differences
from tools.demo.organisation import PAGE_SIZE, change, generate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve
    from tests.support.loaders import Loader
    from tests.support.singer import Json, TapCommand

SETTINGS: dict[str, Any] = {
    **FAST,
    "emit_deletes": True,
    "emit_activate_version_messages": True,
}


def test_the_warehouse_equals_zoho_without_a_join(
    loader: Loader, tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    organisation = generate(weeks=2)
    # Full table: its version drops what is gone.
    history = sorted(organisation.truth("DealHistory"))
    server = serve(organisation, page_size=PAGE_SIZE)
    catalog = tap.discover(server, **SETTINGS)
    modules = dict.fromkeys(organisation.modules)
    catalog = select(catalog, modules)
    state: Json | None = None

    def check(*, files: bool) -> dict[str, int]:
        """Run tap and loader, compare all values, and return how many rows are deleted."""
        nonlocal state
        batches = {"batch_config": config(tmp_path / "files", "parquet")} if files else {}
        settings = server.tap_config(**SETTINGS, **batches)
        state = loader.load(tap.line(settings, catalog=catalog, state=state))
        found = compare(loader.warehouse, organisation)
        assert not differences(found)
        assert sum(each.values for each in found) > 290_000
        assert loader.warehouse.table("deleted_records") is None
        return {each.module: each.deleted for each in found if each.deleted}

    leads = sorted(organisation.truth("Leads"))
    assert check(files=True) == {}
    change(organisation)
    organisation.update("Leads", leads[20], Last_Name="changed")
    organisation.delete("Leads", leads[20])
    organisation.delete("DealHistory", history[0])
    deleted = {"Leads": 5, "Contacts": 1, "Quoted_Items": 3, "DealHistory": 1}
    assert check(files=False) == deleted
    organisation.restore("Leads", leads[20])
    change(organisation)  # It deletes four more leads, one contact, and three rows.
    organisation.insert("Quoted_Items", count=2)
    assert check(files=True) == {"Leads": 8, "Contacts": 2, "Quoted_Items": 6, "DealHistory": 1}

    # A deleted row keeps its other values.
    table = loader.warehouse.table("Leads")
    assert table is not None
    (row,) = [row for row in table.rows if row["id"] == leads[11]]
    assert row[loader.warehouse.name("Modified_Time")] is not None
