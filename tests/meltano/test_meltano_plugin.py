"""`meltano-plugin.yml` in a Meltano project outside this repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_zoho_crm import Organisation, ZohoServer
from tests.support.http_server import serving
from tests.support.meltano_project import NewMeltanoProject
from tests.support.singer import ROOT
from tests.support.warehouse import SCHEMA, DuckDBWarehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFINITION = ROOT / "meltano-plugin.yml"


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    return Organisation.generate(seed=8, only=["Leads", "Tasks"], sizes={"Leads": 9, "Tasks": 3})


@pytest.fixture(scope="module")
def server(organisation: Organisation) -> Iterator[ZohoServer]:
    with ZohoServer(organisation) as server:
        yield server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, server: ZohoServer) -> NewMeltanoProject:
    """Return a new project with a loader and the tap, installed from this checkout."""
    directory = tmp_path_factory.mktemp("meltano")
    project = NewMeltanoProject(
        directory / "project",
        {
            "target-duckdb": {
                "filepath": str(directory / "test.duckdb"),
                "default_target_schema": SCHEMA,
                "add_metadata_columns": True,
            }
        },
    )
    chosen = server.tap_config(poll_interval_seconds=0.05, max_retries=3, modules=["Lea*", "Tasks"])
    write_dotenv(project, {"pip_url": str(ROOT), **chosen})
    add(project, DEFINITION, "tap-zoho-bulk")

    (loader, _) = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"]
    (directory / "loader.yml").write_text(yaml.safe_dump(loader))
    add(project, directory / "loader.yml", "target-duckdb", "--no-install")
    return project


def write_dotenv(project: NewMeltanoProject, settings: dict[str, Any]) -> None:
    (project.directory / ".env").write_text(
        "".join(
            f"TAP_ZOHO_BULK_{name.upper()}="
            f"'{value if isinstance(value, str) else json.dumps(value)}'\n"
            for name, value in settings.items()
        )
    )


def add(project: NewMeltanoProject, definition: Path | str, *arguments: str) -> None:
    done = project.meltano("add", "--from-ref", str(definition), *arguments)
    assert done.returncode == 0, done.stderr + done.stdout


def meltano_yml(project: NewMeltanoProject) -> Any:
    return yaml.safe_load((project.directory / "meltano.yml").read_text())


def test_meltano_takes_over_all_of_the_definition(project: NewMeltanoProject) -> None:
    (added,) = meltano_yml(project)["plugins"]["extractors"]
    for chosen_by_other_tests in ("config", "use_cached_catalog"):
        added.pop(chosen_by_other_tests, None)
    assert added == yaml.safe_load(DEFINITION.read_text())


def test_meltano_lists_every_setting_and_what_is_required(project: NewMeltanoProject) -> None:
    listed = project.meltano("config", "list", "tap-zoho-bulk", "--all").stdout
    assert "Group 1: client_id, client_secret, refresh_token\n" in listed
    assert "Group 2: client_id, client_secret, soid\n" in listed
    for setting in yaml.safe_load(DEFINITION.read_text())["settings"]:
        assert f"[env: TAP_ZOHO_BULK_{setting['name'].upper()}]" in listed
        assert f"{setting['label']}: " in listed


def test_secrets_that_are_set_go_to_the_env_file_and_are_never_shown(
    project: NewMeltanoProject, server: ZohoServer
) -> None:
    secrets = [server.desk.client_id, server.desk.client_secret, server.desk.refresh_token]
    shown = [
        project.meltano("config", "set", "tap-zoho-bulk", "client_secret", secrets[1]),
        project.meltano("config", "set", "tap-zoho-bulk", "data_center", "eu"),
        project.meltano("config", "list", "tap-zoho-bulk"),
        project.meltano("config", "print", "tap-zoho-bulk"),
    ]
    assert [done.returncode for done in shown] == [0, 0, 0, 0]
    assert secrets[1] in (project.directory / ".env").read_text()
    assert "data_center: eu" in (project.directory / "meltano.yml").read_text()
    for text in (
        *(done.stdout + done.stderr for done in shown),
        (project.directory / "meltano.yml").read_text(),
    ):
        assert not [secret for secret in secrets if secret in text]


def test_settings_are_of_their_kinds_and_only_those_that_were_set(
    project: NewMeltanoProject,
) -> None:
    printed = json.loads(project.meltano("config", "print", "tap-zoho-bulk").stdout)
    assert {"modules": ["Lea*", "Tasks"], "max_retries": 3}.items() <= printed.items()
    assert printed["poll_interval_seconds"] == "0.05"
    assert not {"api_version", "max_concurrent_jobs", "on_invalid_value"} & printed.keys()


def test_the_connection_test_passes(project: NewMeltanoProject) -> None:
    done = project.meltano("invoke", "tap-zoho-bulk", "--test")
    assert done.returncode == 0, done.stderr


def test_the_plan_of_what_is_selected_is_a_command(
    project: NewMeltanoProject, server: ZohoServer
) -> None:
    done = project.meltano("invoke", "tap-zoho-bulk:plan")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Leads +all records +9 +1 ", done.stdout, re.MULTILINE)
    assert "nothing has changed" in done.stdout  # since the catalog, which Meltano has written
    assert not server.jobs


def test_records_arrive_and_the_next_run_is_incremental(
    project: NewMeltanoProject, server: ZohoServer, organisation: Organisation
) -> None:
    def modules_listed(*options: str) -> int:
        """Run, and return how often modules were listed, also by the metadata streams."""
        before = len(server.requests_matching("GET", r"/settings/modules$"))
        project.run(*options, "tap-zoho-bulk", "target-duckdb")
        return len(server.requests_matching("GET", r"/settings/modules$")) - before

    first_time = modules_listed("--refresh-catalog")
    warehouse = DuckDBWarehouse(project.directory.parent / "test.duckdb")
    for module in ("Leads", "Tasks"):
        table = warehouse.table(module)
        assert table
        assert {row["id"] for row in table.rows} == set(organisation.truth(module))
    first = list(server.jobs)
    assert first
    assert not [job for job in first if "criteria" in job.query]

    assert modules_listed() < first_time  # Meltano keeps the catalog,
    second = server.jobs[len(first) :]
    assert len(second) == len(first)
    assert all("criteria" in job.query for job in second)

    assert modules_listed("--refresh-catalog") == first_time  # until the user refreshes it,

    project.meltano("config", "set", "tap-zoho-bulk", "_use_cached_catalog", "false")
    assert modules_listed() == first_time  # or switches caching off.


def test_the_definition_may_come_from_a_url_and_the_tap_from_git_and_both_may_be_renewed(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    checkout(source)
    project = NewMeltanoProject(tmp_path / "project", {})
    write_dotenv(project, {"pip_url": f"git+file://{source}"})
    files = partial(SimpleHTTPRequestHandler, directory=str(source))
    with serving(files) as url:
        add(project, f"{url}/{DEFINITION.name}", "tap-zoho-bulk")
        project.meltano("config", "set", "tap-zoho-bulk", "data_center", "eu")
        replace(source / "pyproject.toml", '\nversion = "', '\nversion = "9')
        replace(source / DEFINITION.name, "name: max_retries", "name: max_patience")
        commit(source)
        add(project, f"{url}/{DEFINITION.name}", "tap-zoho-bulk")

    done = project.meltano("invoke", "tap-zoho-bulk", "--version")
    assert done.stdout.startswith("tap-zoho-bulk v9"), done.stderr
    (added,) = meltano_yml(project)["plugins"]["extractors"]
    names = {setting["name"] for setting in added["settings"]}
    assert "max_patience" in names
    assert "max_retries" not in names
    assert added["config"] == {"data_center": "eu"}


def checkout(directory: Path) -> None:
    """Create a git repository from which the tap can be installed."""
    shutil.copytree(ROOT / "tap_zoho_bulk", directory / "tap_zoho_bulk")
    for name in ("pyproject.toml", "README.md", "LICENSE", DEFINITION.name):
        shutil.copyfile(ROOT / name, directory / name)
    subprocess.run(["git", "init", "--quiet"], cwd=directory, check=True)
    commit(directory)


def commit(directory: Path) -> None:
    settings = ("user.name=Test", "user.email=test@example.org", "commit.gpgsign=false")
    git = ["git", *(word for setting in settings for word in ("-c", setting))]
    subprocess.run([*git, "add", "."], cwd=directory, check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "Tap"], cwd=directory, check=True)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
