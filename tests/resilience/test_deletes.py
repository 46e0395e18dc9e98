"""Deleted records: which, since when, and that the documented join returns the truth."""

from __future__ import annotations

import re
import sqlite3
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, ZohoServer
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.singer import ROOT
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import LoggedRequest, Organisation
    from tests.resilience.forks import TapForks

MONDAY = datetime(2026, 3, 2, 9, tzinfo=timezone.utc)


class Warehouse:
    """What the tap has loaded from an organisation, run by run."""

    def __init__(self, forks: TapForks, server: ZohoServer) -> None:
        self.target = UpsertingTarget()
        self.server = server
        self._forks = forks
        self._catalog = catalog(server.organisation, deleted=True)

    def load(self) -> list[LoggedRequest]:
        """Run the tap, check that it succeeded, and return the requests for deleted records."""
        before = len(self.server.requests)
        ended = self._forks.start(
            self.server.tap_config(**QUICK), catalog=self._catalog, state=self.target.state
        ).read_lines(lambda line: bool(self.target.take(line)))
        assert ended.exit_code == 0, ended.stderr
        asked = self.server.requests[before:]
        return [request for request in asked if request.path.endswith("/deleted")]

    def deleted(self, module: str) -> dict[str, str]:
        """Return the types of a module's deleted records, by id."""
        rows = self.target.rows("deleted_records")
        return {row["id"]: row["type"] for row in rows if row["module"] == module}

    def bookmark(self, module: str) -> str | None:
        """Return the bookmark of a module's deleted records."""
        assert self.target.state is not None
        partitions = self.target.state["bookmarks"]["deleted_records"]["partitions"]
        (value,) = [
            each.get("replication_key_value")
            for each in partitions
            if each["context"] == {"module": module}
        ]
        assert value is None or isinstance(value, str)
        return value


@pytest.fixture
def organisation() -> Organisation:
    made = small_organisation({"Leads": 20, "Deals": 10})
    made.set_now(MONDAY)
    return made


@pytest.fixture
def warehouse(forks: TapForks, organisation: Organisation) -> Iterator[Warehouse]:
    with ZohoServer(organisation, page_size=50, tokens_per_ten_minutes=None) as server:
        yield Warehouse(forks, server)


def test_the_recycle_bin_and_what_is_gone_are_told_apart(
    warehouse: Warehouse, organisation: Organisation
) -> None:
    leads = list(organisation.module("Leads").records)
    warehouse.load()
    organisation.advance(timedelta(hours=1))
    organisation.delete("Leads", leads[0])
    organisation.delete("Leads", leads[1], permanent=True)
    warehouse.load()
    first = warehouse.deleted("Leads")
    organisation.advance(timedelta(hours=1))
    organisation.delete("Leads", leads[0], permanent=True)  # also from the recycle bin
    warehouse.load()

    assert first == {leads[0]: "recycle", leads[1]: "permanent"}
    assert warehouse.deleted("Leads") == {leads[0]: "permanent", leads[1]: "permanent"}
    assert warehouse.deleted("Deals") == {}


def test_each_module_has_a_bookmark_of_its_own(
    warehouse: Warehouse, organisation: Organisation
) -> None:
    leads, deals = (list(organisation.module(name).records) for name in ("Leads", "Deals"))
    organisation.delete("Leads", leads[0])
    organisation.advance(timedelta(days=1))
    organisation.delete("Deals", deals[0])
    nothing_known = warehouse.load()
    asked = warehouse.load()

    assert [request.headers.get("if-modified-since") for request in nothing_known] == [None, None]
    assert warehouse.bookmark("Leads") == "2026-03-02T09:00:00+00:00"
    assert warehouse.bookmark("Deals") == "2026-03-03T09:00:00+00:00"
    since = {request.path.split("/")[3]: request.headers["if-modified-since"] for request in asked}
    assert since == {
        "Leads": "2026-03-02T08:50:00+00:00",
        "Deals": "2026-03-03T08:50:00+00:00",
    }


def test_nothing_deleted_is_no_error_and_moves_no_bookmark(
    warehouse: Warehouse, organisation: Organisation
) -> None:
    leads = list(organisation.module("Leads").records)
    first = warehouse.load()
    organisation.delete("Leads", leads[0])
    warehouse.load()
    bookmark = warehouse.bookmark("Leads")
    organisation.advance(timedelta(days=90))  # Zoho no longer lists it.
    last = warehouse.load()

    assert {request.status for request in first} == {204}
    assert {request.path.split("/")[3]: request.status for request in last} == {
        "Leads": 304,
        "Deals": 204,
    }
    assert warehouse.bookmark("Leads") == bookmark
    assert set(warehouse.deleted("Leads")) == {leads[0]}


def test_more_than_two_thousand_rows(forks: TapForks) -> None:
    organisation = small_organisation({"Leads": 2345, "Deals": 3})
    gone = list(organisation.module("Leads").records)[:2301]
    for number, record_id in enumerate(gone):
        organisation.delete("Leads", record_id, permanent=number % 3 == 0)
    with ZohoServer(organisation) as server:
        warehouse = Warehouse(forks, server)
        asked = warehouse.load()

    assert set(warehouse.deleted("Leads")) == set(gone)
    assert list(warehouse.deleted("Leads").values()).count("permanent") == 767
    pages = [request.query["page"] for request in asked if "/Leads/" in request.path]
    assert pages == 2 * [str(page) for page in range(1, 13)]


def living(warehouse: Warehouse) -> set[str]:
    """Return the leads that the documentation's own SQL leaves."""
    (sql,) = re.findall(
        r"```sql\n(.*?)```", (ROOT / "docs" / "deletes.md").read_text("utf-8"), re.DOTALL
    )
    database = sqlite3.connect(":memory:")
    try:
        database.execute('create table leads (id text, "Modified_Time" text)')
        database.execute("create table deleted_records (module text, id text, deleted_time text)")
        rows: list[Any] = warehouse.target.rows("Leads")
        database.executemany("insert into leads values (:id, :Modified_Time)", rows)
        rows = warehouse.target.rows("deleted_records")
        database.executemany(
            "insert into deleted_records values (:module, :id, :deleted_time)", rows
        )
        return {row[0] for row in database.execute(sql)}
    finally:
        database.close()


def test_the_join_in_readme_gives_the_truth(
    warehouse: Warehouse, organisation: Organisation
) -> None:
    """Records are created, changed, deleted, restored and deleted again, over many runs."""
    leads = list(organisation.module("Leads").records)

    def later() -> None:
        organisation.advance(timedelta(minutes=7))

    def check() -> None:
        warehouse.load()
        assert living(warehouse) == set(organisation.module("Leads").records)

    check()
    later()
    organisation.delete("Leads", leads[0])
    organisation.delete("Leads", leads[1], permanent=True)
    organisation.delete("Deals", next(iter(organisation.module("Deals").records)))
    check()
    later()
    organisation.restore("Leads", leads[0])
    check()
    later()
    organisation.update("Leads", leads[2], Name="changed")
    organisation.delete("Leads", leads[2])
    check()
    later()
    organisation.delete("Leads", leads[0])
    later()
    organisation.restore("Leads", leads[2])
    organisation.insert("Leads", count=3)
    check()
    later()
    # Between two runs: deleted and restored, and restored and deleted.
    organisation.delete("Leads", leads[3])
    organisation.restore("Leads", leads[0])
    later()
    organisation.restore("Leads", leads[3])
    organisation.delete("Leads", leads[0], permanent=True)
    check()
    assert warehouse.deleted("Leads")[leads[0]] == "permanent"


def with_deleted_leads(count: int, *, of: int) -> tuple[Organisation, list[str]]:
    """Return an organisation, and the leads deleted from it, one a minute.

    Args:
        count: Number of the deleted leads.
        of: Number of all leads.
    """
    organisation = small_organisation({"Leads": of})
    organisation.set_now(MONDAY)
    gone = list(organisation.module("Leads").records)[:count]
    for record_id in gone:
        organisation.advance(timedelta(minutes=1))
        organisation.delete("Leads", record_id)
    return organisation, gone


@pytest.mark.parametrize("page", ["2", "3"])
def test_a_restore_while_pages_are_read_hides_no_row(forks: TapForks, page: str) -> None:
    """Zoho numbers the pages on live data, the latest row first, so a restore moves rows."""
    organisation, gone = with_deleted_leads(450, of=500)

    with ZohoServer(organisation) as server:
        warehouse = Warehouse(forks, server)

        def restore_one(request: LoggedRequest) -> None:
            if request.path.endswith("/deleted") and request.query["page"] == page:
                server.on_request = None
                organisation.restore("Leads", gone[-1 if page == "2" else -250])

        server.on_request = restore_one
        warehouse.load()

    assert set(warehouse.deleted("Leads")) == set(gone)


def test_a_list_that_keeps_changing_does_not_move_the_bookmark(forks: TapForks) -> None:
    organisation, gone = with_deleted_leads(250, of=300)
    left = iter(reversed(gone))

    def restore_the_next(request: LoggedRequest) -> None:
        if request.path.endswith("/deleted") and request.query["page"] == "2":
            organisation.restore("Leads", next(left))

    with ZohoServer(organisation) as server:
        warehouse = Warehouse(forks, server)
        server.on_request = restore_the_next
        warehouse.load()
        assert warehouse.bookmark("Leads") is None
        server.on_request = None
        warehouse.load()

    assert warehouse.bookmark("Leads") is not None
    assert set(warehouse.deleted("Leads")) == set(gone)


def failed_log(forks: TapForks, server: ZohoServer) -> str:
    """Return the log of a run in which deleted records failed."""
    ended = forks.start(
        server.tap_config(**QUICK), catalog=catalog(server.organisation, deleted=True)
    ).read_lines(lambda _: True)
    assert ended.exit_code == ExitCode.STREAMS_FAILED
    assert "deleted_records failed" in ended.stderr
    return ended.stderr


def test_a_refusal_in_the_middle_of_a_list_fails_the_stream(forks: TapForks) -> None:
    organisation = small_organisation({"Leads": 300})
    for record_id in list(organisation.module("Leads").records)[:250]:
        organisation.delete("Leads", record_id)
    with ZohoServer(organisation) as server:
        refusal = {"code": "INVALID_DATA", "message": "no more", "details": {}, "status": "error"}
        server.faults.add(
            Fault(kind="status", path="/deleted$", skip=1, times=None, status=400, body=refusal)
        )
        log = failed_log(forks, server)

    assert "INVALID_DATA" in log


def test_a_list_that_repeats_a_page_fails_the_stream(forks: TapForks) -> None:
    organisation = small_organisation({"Leads": 3})
    page = {
        "data": [{"id": "1", "deleted_time": "2026-03-02T09:00:00+00:00", "type": "recycle"}],
        "info": {"more_records": True},
    }
    with ZohoServer(organisation) as server:
        server.faults.add(Fault(path="/deleted$", times=None, status=200, body=page))
        log = failed_log(forks, server)

    assert "Could not list the deleted records of Leads: page 2" in log
    assert len(server.requests_matching("GET", "/deleted$")) == 2
