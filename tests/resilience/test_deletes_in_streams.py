"""Deletes in the streams of their modules: targets end with what Zoho has, without a join."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, ZohoServer
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.batches import config, local, records_in
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.singer import SingerChecker, parse
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_zoho_crm import Organisation
    from tests.resilience.forks import Ended, TapForks
    from tests.support.singer import Json

MONDAY = datetime(2026, 3, 2, 9, tzinfo=timezone.utc)
DELETED_AT = "_sdc_deleted_at"


class Warehouse:
    """What the tap has loaded, run by run, by a target that knows nothing of deletes."""

    def __init__(self, forks: TapForks, server: ZohoServer, **settings: Any) -> None:
        self.target = UpsertingTarget()
        self.server = server
        self.settings = {**QUICK, "emit_deletes": True, **settings}
        self.catalog = catalog(server.organisation)
        self.messages: list[Json] = []
        self._forks = forks

    def load(self) -> Ended:
        """Run the tap, and store what it emits."""
        self.messages = []
        checker = SingerChecker()

        def store(line: bytes) -> bool:
            message = parse(line.decode())
            checker.check(message)
            if message["type"] == "BATCH":
                (url,) = message["manifest"]
                message["records"] = records_in(local(url), message["encoding"])
            self.messages.append(message)
            return bool(self.target.store(message))

        return self._forks.start(
            self.server.tap_config(**self.settings), catalog=self.catalog, state=self.target.state
        ).read_lines(store)

    def loaded(self) -> None:
        """Run the tap, which must succeed."""
        ended = self.load()
        assert ended.exit_code == 0, ended.stderr

    def deleted(self, stream: str) -> dict[str, str]:
        """Return when the deleted rows of a table were deleted, by id."""
        rows = self.target.by_id(stream)
        return {key: row[DELETED_AT] for key, row in rows.items() if row.get(DELETED_AT)}

    def check(self) -> None:
        """Check that the rows that are not deleted are those of Zoho, by value."""
        for name in self.server.organisation.modules:
            rows = self.target.by_id(name)
            living = {key: row for key, row in rows.items() if row[DELETED_AT] is None}
            truth = self.server.organisation.truth(name)
            assert living == {key: {**row, DELETED_AT: None} for key, row in truth.items()}

    def requests(self) -> list[tuple[str, str | None]]:
        """Return the module and `If-Modified-Since` of each request for deletes so far."""
        return [
            (request.path.split("/")[3], request.headers.get("if-modified-since"))
            for request in self.server.requests
            if request.path.endswith("/deleted")
        ]


@pytest.fixture
def organisation() -> Organisation:
    made = small_organisation({"Leads": 12, "Rooms": 3}, undated=["Rooms"])
    made.set_now(MONDAY)
    return made


@pytest.fixture
def server(organisation: Organisation) -> Iterator[ZohoServer]:
    with ZohoServer(organisation, page_size=5, tokens_per_ten_minutes=None) as served:
        yield served


@pytest.mark.parametrize("output", ["records", "jsonl", "parquet", "flattened"])
def test_deleted_and_restored_records(
    forks: TapForks, organisation: Organisation, server: ZohoServer, tmp_path: Path, output: str
) -> None:
    settings: Json = {}
    if output == "flattened":
        settings = {"flattening_enabled": True, "flattening_max_depth": 1}
    elif output != "records":
        settings = {"batch_config": config(tmp_path, output)}
    warehouse = Warehouse(forks, server, **settings)
    leads = list(organisation.module("Leads").records)

    def check() -> None:
        warehouse.loaded()
        warehouse.check()
        organisation.advance(timedelta(minutes=30))

    organisation.delete("Leads", leads[0])
    organisation.advance(timedelta(days=1))
    check()
    # It may be in the target all the same, from a run whose state was lost.
    assert set(warehouse.deleted("Leads")) == {leads[0]}
    organisation.delete("Leads", leads[1])
    organisation.delete("Leads", leads[2], permanent=True)
    organisation.delete("Rooms", next(iter(organisation.module("Rooms").records)))
    check()
    assert warehouse.deleted("Leads") == {
        leads[0]: "2026-03-02T09:00:00+00:00",
        leads[1]: "2026-03-03T09:30:00+00:00",
        leads[2]: "2026-03-03T09:30:00+00:00",
    }
    organisation.restore("Leads", leads[1])
    organisation.update("Leads", leads[3], Name="changed")
    organisation.delete("Leads", leads[3])
    check()
    assert set(warehouse.deleted("Leads")) == {leads[0], leads[2], leads[3]}
    # Between two runs: deleted and restored, restored and deleted, created and deleted.
    organisation.delete("Leads", leads[4])
    organisation.restore("Leads", leads[3])
    (created,) = organisation.insert("Leads")
    organisation.advance(timedelta(minutes=1))
    organisation.restore("Leads", leads[4])
    organisation.delete("Leads", leads[3], permanent=True)
    organisation.delete("Leads", created)
    check()
    assert set(warehouse.deleted("Leads")) == {leads[0], leads[2], leads[3], created}


def test_records_have_only_what_zoho_reports(
    forks: TapForks, organisation: Organisation, server: ZohoServer
) -> None:
    warehouse = Warehouse(forks, server)
    warehouse.loaded()
    lead = next(iter(organisation.module("Leads").records))
    organisation.advance(timedelta(hours=1))
    organisation.delete("Leads", lead)
    warehouse.loaded()

    assert warehouse.target.by_id("Leads")[lead] == {
        "id": lead,
        DELETED_AT: "2026-03-02T10:00:00+00:00",
    }
    # Quiet runs emit nothing.
    organisation.advance(timedelta(hours=1))
    warehouse.loaded()
    warehouse.loaded()
    assert not [each for each in warehouse.messages if each.get("record", {}).get(DELETED_AT)]


def test_the_bookmark_is_zohos_clock_less_ten_minutes(
    forks: TapForks, organisation: Organisation, server: ZohoServer
) -> None:
    warehouse = Warehouse(forks, server)
    warehouse.loaded()
    organisation.advance(timedelta(days=2))
    warehouse.loaded()
    organisation.advance(timedelta(days=2))
    warehouse.loaded()

    for name in organisation.modules:
        assert [since for module, since in warehouse.requests() if module == name] == [
            None,
            "2026-03-02T08:50:00+00:00",
            "2026-03-04T08:50:00+00:00",
        ]


def test_a_list_that_fails_is_read_again_from_its_bookmark(forks: TapForks) -> None:
    organisation = small_organisation({"Leads": 260})
    organisation.set_now(MONDAY)
    with ZohoServer(organisation, tokens_per_ten_minutes=None) as server:
        warehouse = Warehouse(forks, server)
        warehouse.loaded()
        organisation.advance(timedelta(days=1))
        for lead in list(organisation.module("Leads").records)[:250]:
            organisation.delete("Leads", lead)
        refusal = {"code": "INVALID_DATA", "message": "no more", "details": {}, "status": "error"}
        server.faults.add(Fault(kind="status", path="/deleted$", skip=1, status=400, body=refusal))
        failed = warehouse.load()
        first = bookmark(warehouse)
        organisation.advance(timedelta(days=1))
        warehouse.loaded()

        assert failed.exit_code == ExitCode.FIX_FIRST
        assert "INVALID_DATA" in failed.stderr
        assert first == MONDAY.isoformat()
        assert bookmark(warehouse) == (MONDAY + timedelta(days=2)).isoformat()
        warehouse.check()


def bookmark(warehouse: Warehouse) -> str:
    """Return the bookmark of the deletes of Leads."""
    assert warehouse.target.state is not None
    return str(warehouse.target.state["bookmarks"]["Leads"]["deletes"]["since"])


def test_the_setting_with_a_catalog_and_a_state_from_before(
    forks: TapForks, organisation: Organisation, server: ZohoServer
) -> None:
    warehouse = Warehouse(forks, server, emit_deletes=False)
    warehouse.loaded()
    assert warehouse.requests() == []
    leads, rooms = (list(organisation.module(name).records) for name in ("Leads", "Rooms"))
    organisation.delete("Leads", leads[0])
    organisation.delete("Rooms", rooms[0])
    organisation.advance(timedelta(days=3))
    warehouse.settings |= {"emit_deletes": True, "emit_activate_version_messages": True}
    warehouse.loaded()

    # Everything that Zoho lists; but a version drops the old rows of a full table.
    assert warehouse.requests() == [("Leads", None)]
    assert set(warehouse.deleted("Leads")) == {leads[0]}
    assert rooms[0] not in warehouse.target.by_id("Rooms")

    deselected = {"breadcrumb": ["properties", DELETED_AT], "metadata": {"selected": False}}
    for stream in warehouse.catalog["streams"]:
        stream["metadata"].append(deselected)
    warehouse.loaded()

    assert len(warehouse.requests()) == 1
    assert not [each for each in warehouse.messages if DELETED_AT in str(each)]
