"""After edits, deletes, restores and removed subform rows, warehouses equal Zoho without a join."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from local_zoho_crm import Organisation
from tests.support.batches import config
from tests.support.singer import FAST, select
from tests.support.warehouse import compare, differences

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve
    from tests.support.loaders import Loader
    from tests.support.singer import Json, TapCommand

ROWS = "Quoted_Items"
MODULES = ["Leads", "Quotes", ROWS]
SETTINGS: dict[str, Any] = {
    **FAST,
    "modules": MODULES,
    "emit_deletes": True,
    "emit_activate_version_messages": True,
}


def more_than_a_week_later(state: Json) -> Json:
    """Return the state as if all rows of the subform were last read eight days ago."""
    bookmark = state["bookmarks"][ROWS]
    then = datetime.fromisoformat(bookmark["read_whole"]) - timedelta(days=8)
    aged = {**bookmark, "read_whole": then.isoformat()}
    return {**state, "bookmarks": {**state["bookmarks"], ROWS: aged}}


def test_the_warehouse_equals_zoho_without_a_join(
    loader: Loader, tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    organisation = Organisation.generate(
        seed=87, only=MODULES, sizes={"Leads": 30, "Quotes": 5, ROWS: 20}, awkward=0.3
    )
    server = serve(organisation, page_size=12)
    catalog = select(tap.discover(server, **SETTINGS), dict.fromkeys(MODULES))
    state: Json | None = None

    def check(*, files: bool) -> list[int]:
        """Run tap and loader, compare all values, and return the numbers of deleted rows."""
        nonlocal state
        batches = {"batch_config": config(tmp_path / "files", "parquet")} if files else {}
        settings = server.tap_config(**SETTINGS, **batches)
        state = loader.load(tap.line(settings, catalog=catalog, state=state))
        found = compare(loader.warehouse, organisation, modules=MODULES)
        assert not differences(found)
        return [each.deleted for each in found]

    leads, rows = (list(organisation.module(name).records) for name in ("Leads", ROWS))
    assert check(files=True) == [0, 0, 0]
    assert state is not None
    organisation.advance(timedelta(hours=1))
    organisation.delete("Leads", leads[0])
    organisation.delete("Leads", leads[1], permanent=True)
    organisation.update("Leads", leads[2], Last_Name="changed")
    organisation.delete("Leads", leads[2])
    for row in rows[:4]:
        organisation.delete(ROWS, row)
    state = more_than_a_week_later(state)
    assert check(files=False) == [3, 0, 4]
    organisation.advance(timedelta(hours=1))
    organisation.restore("Leads", leads[0])
    organisation.delete("Leads", leads[3])
    organisation.insert("Leads", count=2)
    organisation.insert(ROWS, count=2)
    for row in rows[4:6]:
        organisation.delete(ROWS, row)
    state = more_than_a_week_later(state)
    assert check(files=True) == [3, 0, 6]

    # A deleted row keeps its other values.
    table = loader.warehouse.table("Leads")
    assert table is not None
    (deleted,) = [row for row in table.rows if row["id"] == leads[1]]
    assert deleted[loader.warehouse.name("Modified_Time")] is not None
