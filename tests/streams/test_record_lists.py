"""Notes and attachments, which bulk read does not export: listed in pages, incrementally."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import entry, metadata, select

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
NOTES, ATTACHMENTS = 2450, 3
MODULES = {"notes": ("Notes", "Leads"), "attachments": ("Attachments", "Contacts")}


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    """An organisation with more notes than Zoho lists by page number."""
    organisation = Organisation.generate(
        seed=931,
        only=["Leads", "Contacts", "Notes", "Attachments"],
        sizes={"Leads": 3, "Contacts": 3, "Notes": NOTES, "Attachments": ATTACHMENTS},
    )
    organisation.set_now(NOW)
    return organisation


def truth(organisation: Organisation, stream: str) -> dict[str, Json]:
    """Return what the stream's records say, from the server's own."""
    module, parent_module = MODULES[stream]
    owners = organisation.users.records

    def utc(instant: datetime) -> str:
        return instant.astimezone(timezone.utc).isoformat()

    def record_of(row: Json) -> Json:
        parent = organisation.module(parent_module).records.get(row["Parent_Id"])
        people: Json = {}
        for role in ("Owner", "Created_By", "Modified_By"):
            person = owners.get(row[role])
            people[f"{role}_id"] = person and person["id"]
            people[f"{role}_name"] = person and person["full_name"]
        own = {
            "notes": {name: row.get(name) or None for name in ("Note_Title", "Note_Content")},
            "attachments": {name: row.get(name) for name in ("File_Name", "Size")},
        }
        return {
            "id": row["id"],
            **own[stream],
            "Parent_Id_id": row["Parent_Id"],
            "Parent_Id_name": (parent or {}).get("full_name"),
            "parent_module": parent_module if parent else None,
            **people,
            "Created_Time": utc(row["Created_Time"]),
            "Modified_Time": utc(row["Modified_Time"]),
        }

    return {key: record_of(row) for key, row in organisation.module(module).records.items()}


def asked(server: ZohoServer, module: str) -> list[Any]:
    return server.requests_matching("GET", rf"/{module}$")


def test_all_come_once_and_then_what_changed(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    found = tap.discover(server)
    catalog = select(found, dict.fromkeys(MODULES))
    first = tap.sync(server, catalog=catalog)

    assert first.exit_code == 0, first.stderr
    for stream in MODULES:
        assert first.by_id(stream) == truth(organisation, stream)
        assert len(first.records(stream)) == len(first.by_id(stream))
        assert metadata(catalog, stream)["inclusion"] == "available"
        assert metadata(found, stream)["selected-by-default"] is False
        assert entry(found, stream)["replication_method"] == "INCREMENTAL"
    pages = -(-NOTES // 200)
    assert len(asked(server, "Notes")) == pages
    assert [each.query.get("page") for each in asked(server, "Notes")][:2] == ["1", None]

    # A note is changed, one is added, and the last second before the bookmark is read again.
    changed = next(iter(organisation.module("Notes").records))
    organisation.update("Notes", changed, Note_Title="Changed, now")
    (added,) = organisation.insert("Notes")
    second = tap.sync(server, catalog=catalog, state=first.state)

    assert second.exit_code == 0, second.stderr
    wanted = truth(organisation, "notes")
    records = second.by_id("notes")
    assert {changed, added} <= records.keys()
    assert len(records) < 10
    assert records == {key: wanted[key] for key in records}
    bookmark = second.state["bookmarks"]["notes"]["replication_key_value"]
    assert bookmark == NOW.isoformat()
    header = {name.lower(): value for name, value in asked(server, "Notes")[-1].headers.items()}
    latest = max(record["Modified_Time"] for record in first.records("notes"))
    since = datetime.fromisoformat(header["if-modified-since"])
    assert since == datetime.fromisoformat(latest) - timedelta(minutes=10)


def test_a_failed_read_leaves_the_bookmark(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    catalog = select(tap.discover(server), {"notes": None, "Leads": None})
    server.faults.add(Fault(path="/Notes$", status=500, skip=2, times=None))
    run = tap.run(server, catalog=catalog, max_retries=0)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.records("notes")
    assert run.records("Leads")
    bookmarks = run.state["bookmarks"]
    assert "replication_key_value" not in bookmarks.get("notes", {})
