"""BATCH files of streams that are read from lists: the same values as in RECORD messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import BulkWriteJob, Fault, Organisation
from local_zoho_crm.oauth import DEFAULT_SCOPES
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.batches import ENCODINGS, check_version, config, files_of
from tests.support.singer import select

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

LISTS = (
    *("users", "roles", "profiles", "org", "modules", "fields", "custom_views"),
    *("currencies", "territories", "user_territories", "pipelines", "contact_roles"),
)
OTHERS = ("deleted_records", "bulk_write_results")


@pytest.fixture
def organisation() -> Organisation:
    organisation = Organisation.generate(seed=43, only=["Leads", "Deals"])
    for module in ("Leads", "Deals"):
        for record_id in list(organisation.truth(module))[:5]:
            organisation.delete(module, record_id)
    return organisation


def write_job(organisation: Organisation) -> str:
    rows = [
        ("Boyle", "", "x", "ADDED", "5725767000000411001", ""),
        ("", "b@x.example", "", "SKIPPED", "", "MANDATORY_NOT_FOUND-Last_Name:DUPLICATE_DATA-A,B"),
    ]
    job = BulkWriteJob(module="Leads", columns=("Last_Name", "Email", "Company"), rows=rows)
    return organisation.add_bulk_write_job(job)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda each: "-".join(each.values()))
def test_files_hold_what_records_say(
    tap: TapCommand,
    serve: Serve,
    organisation: Organisation,
    tmp_path: Path,
    encoding: Json,
) -> None:
    settings = {"bulk_write_job_ids": [write_job(organisation)]}
    server = serve(organisation, scopes=[*DEFAULT_SCOPES, "ZohoCRM.bulk.ALL"])
    names = ["Leads", "Deals", *LISTS, *OTHERS]
    catalog = select(tap.discover(server, **settings), dict.fromkeys(names))
    told = tap.sync(server, catalog=catalog, **settings)

    run = tap.sync(
        server,
        catalog=catalog,
        batch_config={**config(tmp_path / "out"), "encoding": encoding},
        **settings,
    )

    for stream in [*LISTS, *OTHERS]:
        rows = [plain(row) for file in files_of(run, stream) for row in file]
        assert rows == told.records(stream)
        assert rows, stream
    assert not run.of_type("RECORD")
    assert len(list((tmp_path / "out").iterdir())) == len(run.of_type("BATCH"))


def plain(row: Json) -> Json:
    """Return a row with maps as objects, which Parquet's reader returns as pairs."""
    columns = row.get("columns")
    return {**row, "columns": dict(columns)} if isinstance(columns, list) else row


def test_only_keys_need_a_value(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    picked = {"actual_value": "A", "display_value": "a"}
    field = {"api_name": "Stage", "data_type": "picklist", "pick_list_values": [picked]}
    server.faults.add(Fault(path="/fields$", times=None, body={"fields": [field]}, status=200))
    catalog = select(tap.discover(server), {"fields": None})

    run = tap.sync(server, catalog=catalog, batch_config=config(tmp_path, "parquet"))

    rows = [row for file in files_of(run, "fields") for row in file]
    assert {row["module"] for row in rows} >= {"Deals", "Leads"}
    for row in rows:
        assert (row["api_name"], row["id"]) == ("Stage", None)
        assert row["pick_list_values"][0]["id"] is None


def test_only_selected_properties_are_in_files(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    wanted = ["module", "id", "deleted_time"]
    catalog = select(tap.discover(server), {"Leads": ["id"], "deleted_records": wanted})

    run = tap.sync(server, catalog=catalog, batch_config=config(tmp_path))

    rows = [row for file in files_of(run, "deleted_records") for row in file]
    assert [sorted(row) for row in rows] == [sorted(wanted)] * 5


def test_state_knows_only_of_what_is_in_files(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    names = dict.fromkeys(["Leads", "Deals", "deleted_records"])
    catalog = select(tap.discover(server), names)

    run = tap.sync(server, catalog=catalog, batch_config={**config(tmp_path), "batch_size": 3})

    files = iter(files_of(run, "deleted_records"))
    written: dict[str, set[str]] = {"Leads": set(), "Deals": set()}
    reached: set[str] = set()
    for message in run.messages:
        if message["type"] == "BATCH" and message["stream"] == "deleted_records":
            for row in next(files):
                written[row["module"]].add(row["id"])
        if message["type"] == "STATE":
            for module in bookmarked(message["value"]):
                assert written[module] == set(organisation.module(module).deleted)
                reached.add(module)
    assert reached == {"Leads", "Deals"}


def test_a_run_that_ends_before_a_file_is_whole_has_not_moved_past_its_records(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    catalog = select(tap.discover(server), dict.fromkeys(["Leads", "Deals", "deleted_records"]))
    denied = {"status": "error", "code": "NO_PERMISSION", "message": "denied", "details": {}}
    server.faults.add(Fault(path="/deleted$", skip=1, times=None, status=403, body=denied))

    run = tap.run(server, catalog=catalog, batch_config=config(tmp_path), on_stream_error="abort")
    server.faults.clear()
    rest = tap.sync(server, catalog=catalog, batch_config=config(tmp_path), state=run.state)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert not run.of_type("BATCH", "deleted_records")
    assert bookmarked(run.state) == []
    ids = {row["id"] for file in files_of(rest, "deleted_records") for row in file}
    assert ids == {*organisation.module("Leads").deleted, *organisation.module("Deals").deleted}


def test_a_file_that_cannot_be_written_fails_its_stream_only(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    names = ["users", "roles", "Leads", "deleted_records"]
    catalog = select(tap.discover(server), dict.fromkeys(names))
    user = {"id": "1", "offset": 1 << 70}  # It does not fit Parquet's integers.
    server.faults.add(Fault(path="/users$", times=None, status=200, body={"users": [user]}))

    run = tap.run(
        server,
        catalog=catalog,
        batch_config=config(tmp_path, "parquet"),
        emit_activate_version_messages=True,
    )

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert not run.of_type("BATCH", "users")
    assert not run.of_type("ACTIVATE_VERSION", "users")
    for stream in ("roles", "Leads", "deleted_records"):
        assert run.of_type("BATCH", stream)
    assert run.line("users", "`offset`")


def bookmarked(state: Json) -> list[str]:
    """Return the modules whose deleted records have a bookmark in a state."""
    partitions: Any = state["bookmarks"].get("deleted_records", {}).get("partitions", [])
    return [each["context"]["module"] for each in partitions if each.get("replication_key_value")]


def test_a_full_list_has_its_version(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    catalog = select(tap.discover(server), {"users": None})

    run: TapRun = tap.sync(
        server,
        catalog=catalog,
        batch_config=config(tmp_path),
        emit_activate_version_messages=True,
    )

    check_version(run, "users")
