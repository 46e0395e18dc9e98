"""The tap as a Meltano plugin: settings, selection, connection test, state."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, Organisation, ZohoServer
from tests.support.meltano_project import MeltanoProject, PipelineError
from tests.support.warehouse import DuckDBWarehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=5, only=["Leads", "Tasks"], sizes={"Leads": 12, "Tasks": 3})


@pytest.fixture
def server(organisation: Organisation) -> Iterator[ZohoServer]:
    with ZohoServer(organisation) as server:
        yield server


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "test.duckdb")


def project(directory: Path, server: ZohoServer, **settings: Any) -> MeltanoProject:
    """Return a project whose tap reads from the server."""
    return MeltanoProject(
        directory / "project",
        {
            "tap-zoho-bulk": server.tap_config(poll_interval_seconds=0.05, **settings),
            "target-duckdb": {"filepath": str(directory / "test.duckdb")},
        },
    )


def bookmarks_of(pipeline: MeltanoProject) -> dict[str, Any]:
    """Return the bookmarks in Meltano's database."""
    shown = pipeline.meltano("state", "get", "dev:tap-zoho-bulk-to-target-duckdb").stdout
    bookmarks = json.loads(shown)["singer_state"]["bookmarks"]
    assert isinstance(bookmarks, dict)
    return bookmarks


def test_the_connection_test_starts_no_job(tmp_path: Path, server: ZohoServer) -> None:
    done = project(tmp_path, server).meltano("invoke", "tap-zoho-bulk", "--test")
    assert done.returncode == 0, done.stderr
    assert server.requests
    assert not server.jobs


def test_a_plan_has_the_objects_of_a_plugin_that_inherits(
    tmp_path: Path, server: ZohoServer
) -> None:
    criteria = {"field": {"api_name": "Lead_Source"}, "comparator": "equal", "value": "Web"}
    options = {"Leads": {"criteria": criteria, "replace_days": 30}}
    planned = project(
        tmp_path, server, module_options=options, emit_activate_version_messages=True
    ).meltano("invoke", "tap-zoho-bulk-batch:plan")

    assert planned.returncode == 0, planned.stderr
    assert re.search(r"^Leads +all records .* with criteria", planned.stdout, re.MULTILINE)
    assert not server.jobs


def test_the_connection_test_fails_on_a_wrong_token(tmp_path: Path, server: ZohoServer) -> None:
    tested = project(tmp_path, server, refresh_token="1000.wrong")
    done = tested.meltano("invoke", "tap-zoho-bulk", "--test")
    assert done.returncode != 0
    assert "invalid_code" in done.stderr
    assert "1000.wrong" not in done.stdout + done.stderr


def test_meltano_config_test_succeeds(tmp_path: Path, server: ZohoServer) -> None:
    done = project(tmp_path, server).meltano("config", "test", "tap-zoho-bulk")
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_of_every_kind_reach_the_tap(
    tmp_path: Path, server: ZohoServer, organisation: Organisation, warehouse: DuckDBWarehouse
) -> None:
    times = sorted(record["Modified_Time"] for record in organisation.truth("Leads").values())
    project(
        tmp_path,
        server,
        modules=["Lea*"],
        module_options={
            "Leads": {
                "criteria": {
                    "field": {"api_name": "Modified_Time"},
                    "comparator": "less_than",
                    "value": times[9],
                }
            }
        },
        start_date=times[3],
        api_version="v7",
        max_concurrent_jobs=2,
        max_poll_interval_seconds=0.5,
        flattening_enabled=False,
    ).run("tap-zoho-bulk", "target-duckdb")

    assert {job.version for job in server.jobs} == {7}
    assert warehouse.table("Tasks") is None
    assert {key[0] for key in warehouse.loaded("Leads", "id")} == {
        record_id
        for record_id, record in organisation.truth("Leads").items()
        if times[3] <= record["Modified_Time"] < times[9]
    }


def test_a_parents_name_arrives_when_it_is_selected(tmp_path: Path) -> None:
    organisation = Organisation.generate(seed=6, only=["Contacts", "Accounts"])
    with ZohoServer(organisation) as server:
        selective = project(tmp_path, server)
        for name in ("Last_Name", "Account_Name__Account_Name"):
            done = selective.meltano("select", "tap-zoho-bulk", "Contacts", name)
            assert done.returncode == 0, done.stderr
        selective.run("tap-zoho-bulk", "target-duckdb")

    table = DuckDBWarehouse(tmp_path / "test.duckdb").table("Contacts")
    assert table
    truth = organisation.truth("Contacts", ["Account_Name.Account_Name"])
    assert {row["id"]: row["account_name__account_name"] for row in table.rows} == {
        key: record["Account_Name__Account_Name"] for key, record in truth.items()
    }
    assert "owner__last_name" not in table.columns
    assert "account_name" not in table.columns


def test_a_star_selects_parents_names_until_they_are_excluded(tmp_path: Path) -> None:
    organisation = Organisation.generate(seed=6, only=["Contacts", "Accounts"])
    with ZohoServer(organisation) as server:
        starred = project(tmp_path, server)
        everything = starred.meltano("select", "tap-zoho-bulk", "Contacts", "*")
        assert everything.returncode == 0, everything.stderr
        for name in ("*__last_name", "*__*_Name"):
            done = starred.meltano("select", "--exclude", "tap-zoho-bulk", "*", name)
            assert done.returncode == 0, done.stderr
        listed = starred.meltano("select", "--list", "--all", "tap-zoho-bulk").stdout
        starred.run("tap-zoho-bulk", "target-duckdb")

    assert "Contacts.Owner__last_name" in listed
    table = DuckDBWarehouse(tmp_path / "test.duckdb").table("Contacts")
    assert table
    assert not [name for name in table.columns if "__" in name]
    assert "last_name" in table.columns


def test_only_selected_streams_and_fields_arrive(
    tmp_path: Path, server: ZohoServer, organisation: Organisation, warehouse: DuckDBWarehouse
) -> None:
    selective = project(tmp_path, server)
    selected = selective.meltano("select", "tap-zoho-bulk", "Leads", "Company")
    assert selected.returncode == 0, selected.stderr
    selective.run("tap-zoho-bulk", "target-duckdb")

    table = warehouse.table("Leads")
    assert table
    assert {name for name in table.columns if not name.startswith("_sdc_")} == {
        "id",
        "company",
        "modified_time",
    }
    assert {row["id"]: row["company"] for row in table.rows} == {
        record_id: record["Company"] for record_id, record in organisation.truth("Leads").items()
    }
    assert warehouse.table("Tasks") is None
    (job,) = server.jobs
    assert set(job.query["fields"]) <= {"id", "Company", "Modified_Time"}


def test_state_is_kept_between_runs_and_a_full_refresh_ignores_it(
    tmp_path: Path, server: ZohoServer, organisation: Organisation
) -> None:
    pipeline = project(tmp_path, server, modules=["Leads"])
    pipeline.run("tap-zoho-bulk", "target-duckdb")
    latest = max(record["Modified_Time"] for record in organisation.truth("Leads").values())
    assert bookmarks_of(pipeline)["Leads"]["replication_key_value"] == latest

    pipeline.run("tap-zoho-bulk", "target-duckdb")
    pipeline.run("--full-refresh", "tap-zoho-bulk", "target-duckdb")
    assert ["criteria" in job.query for job in server.jobs] == [False, True, False]


def test_a_wrong_setting_is_named(tmp_path: Path, server: ZohoServer) -> None:
    with pytest.raises(PipelineError, match="api_url"):
        project(tmp_path, server, api_url="nowhere").run("tap-zoho-bulk", "target-duckdb")
    assert not server.requests


def test_one_streams_failure_leaves_what_the_others_loaded_and_their_state(
    tmp_path: Path, server: ZohoServer, organisation: Organisation, warehouse: DuckDBWarehouse
) -> None:
    pipeline = project(tmp_path, server)
    server.faults.add(Fault(kind="job_failure", module="Leads", times=None))

    with pytest.raises(PipelineError, match="Leads failed"):
        pipeline.run("tap-zoho-bulk", "target-duckdb")

    bookmarks = bookmarks_of(pipeline)
    latest = max(record["Modified_Time"] for record in organisation.truth("Tasks").values())
    assert bookmarks["Tasks"]["replication_key_value"] == latest
    assert "replication_key_value" not in bookmarks["Leads"]
    tasks = warehouse.table("Tasks")
    assert tasks
    assert {row["id"] for row in tasks.rows} == set(organisation.truth("Tasks"))


def test_a_run_that_stopped_in_the_middle_shows_where_and_goes_on_there(
    tmp_path: Path, organisation: Organisation, warehouse: DuckDBWarehouse
) -> None:
    with ZohoServer(organisation, page_size=4) as server:
        pipeline = project(tmp_path, server, modules=["Leads"], max_retries=0)
        server.faults.add(Fault(path=r"/read/\d+/result$", skip=2, times=None))
        with pytest.raises(PipelineError, match="page 3"):
            pipeline.run("tap-zoho-bulk", "target-duckdb")
        progress = bookmarks_of(pipeline)["Leads"]["bulk_read"]
        assert progress["page"] == 3
        assert progress["job_id"] == server.jobs[2].id

        server.faults.clear()
        pipeline.run("tap-zoho-bulk", "target-duckdb")

        assert [job.page for job in server.jobs] == [1, 2, 3]
    leads = warehouse.table("Leads")
    assert leads
    assert {row["id"] for row in leads.rows} == set(organisation.truth("Leads"))
    assert "bulk_read" not in bookmarks_of(pipeline)["Leads"]
