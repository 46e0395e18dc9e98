"""The DAG on a real Airflow: six organisations, two runs, three kinds of warehouses, and S3."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import pytest

from local_zoho_crm import Fault, Organisation, ZohoServer
from tests.support.loaders import duckdb_loader, plugin_of, postgres_loader
from tests.support.meltano_project import loader_executable
from tests.support.postgres import postgres_server
from tests.support.s3_server import s3_server
from tests.support.singer import FAST, ROOT
from tests.support.warehouse import compare, differences
from zoho_bulk_fleet.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.loaders import Loader

AIRFLOW = ROOT / ".venv-airflow" / "bin"
MODULES = ("Leads", "Contacts", "Deals")
CONFIG_SECRETS = ("client_secret", "refresh_token")
FILES = {"batch_config": {"encoding": {"format": "parquet"}}}


class FleetOnAirflow:
    """Airflow with the DAG, and what its organisations need.

    Args:
        directory: For Airflow and the warehouses.
        storage: URL of the fleet's storage.
        environment: How to reach it.
        postgres: URI of a PostgreSQL server.
    """

    def __init__(
        self, directory: Path, storage: str, environment: dict[str, str], postgres: str
    ) -> None:
        self.directory = directory
        self.storage = storage
        self.crms: dict[str, Organisation] = {}
        self.servers: dict[str, ZohoServer] = {}
        self._organisations: list[dict[str, Any]] = []
        self.loaders = {
            "globex": postgres_loader(directory / "globex", postgres, "globex"),
            "hooli": postgres_loader(directory / "hooli", postgres, "hooli"),
            "stark": duckdb_loader(directory / "stark"),
        }
        self._environment = {
            **os.environ,
            **environment,
            "AIRFLOW_HOME": str(directory / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "deploy" / "airflow" / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def add(self, name: str, server: ZohoServer, **settings: Any) -> None:
        """Add an organisation: its entry in the Variable, and its connection."""
        self.crms[name], self.servers[name] = server.organisation, server
        entry: dict[str, Any] = {"name": name, "settings": FILES}
        if loader := self.loaders.get(name):
            plugin = plugin_of("loaders", loader.plugin)
            entry["loader"] = [str(loader_executable(loader.plugin, plugin["executable"]))]
            entry["loader_settings"] = {**plugin["config"], **loader.settings}
        self._organisations.append(entry)
        config = {**server.tap_config(), **FAST, "modules": MODULES, **settings}
        self._environment[f"AIRFLOW_CONN_ZOHO_BULK_{name.upper()}"] = json.dumps(
            {
                "conn_type": "generic",
                "login": config.pop("client_id"),
                "password": config.pop("client_secret"),
                "extra": config,
            }
        )

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Airflow's command line, and keep what it prints."""
        self._environment["AIRFLOW_VAR_ZOHO_FLEET"] = json.dumps(
            {
                "storage": self.storage,
                "tap": [str(Path(sys.executable).with_name("tap-zoho-bulk"))],
                "organisations": self._organisations,
            }
        )
        done = subprocess.run(
            [str(AIRFLOW / "airflow"), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        with (self.directory / "printed.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        return done

    def states(self) -> dict[str, tuple[str, int]]:
        """Return the state and tries of the newest run, and of each organisation in it."""
        with closing(sqlite3.connect(self.directory / "airflow" / "airflow.db")) as database:
            run = database.execute("SELECT run_id, state FROM dag_run ORDER BY id DESC").fetchone()
            rows = database.execute(
                "SELECT rendered_map_index, state, try_number FROM task_instance"
                " WHERE task_id = 'sync' AND run_id = ?",
                run[:1],
            )
            return {"run": (run[1], 1), **{name: (state, tries) for name, state, tries in rows}}

    def python(self, code: str, *arguments: str) -> str:
        """Run a program in Airflow's environment, and return the last line that it prints."""
        done = subprocess.run(
            [str(AIRFLOW / "python"), "-c", code, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()[-1]

    def lake(self, name: str) -> Loader:
        """Return a DuckDB file with what is in the lake, loaded by its messages."""
        store = open_store(f"{self.storage}/organisations/{name}/data", None)
        local = self.directory / f"lake-{name}"
        for part in obstore.list(store):
            for each in part:
                file = local / each["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(bytes(obstore.get(store, each["path"]).bytes()))
        loader = duckdb_loader(self.directory / f"duckdb-{name}")
        url = f"{self.storage}/organisations/{name}/data"
        for messages in sorted(local.rglob("messages.jsonl")):
            messages.write_text(messages.read_text().replace(url, local.as_uri()))
            loader.load(["cat", str(messages)], keep_batch_files=True)
        return loader


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetOnAirflow]:
    directory = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        environment = stack.enter_context(s3_server("fleet"))
        for key, value in environment.items():
            patch.setenv(key, value)
        postgres = stack.enter_context(postgres_server())
        found = FleetOnAirflow(directory, "s3://fleet/zoho", environment, postgres)
        assert found.airflow("db", "migrate").returncode == 0
        pools = str(ROOT / "deploy" / "airflow" / "pools.json")
        assert found.airflow("pools", "import", pools).returncode == 0
        for seed, name in enumerate(("acme", "globex", "hooli", "stark", "umbrella", "initech")):
            crm = Organisation.generate(seed=seed, only=MODULES)
            server = stack.enter_context(ZohoServer(crm))
            settings = {"refresh_token": "1000.revoked"} if name == "initech" else {}
            found.add(name, server, **settings)
        yield found


def whole(fleet: FleetOnAirflow, name: str) -> bool:
    """Return whether an organisation's warehouse equals its server."""
    loader = fleet.loaders.get(name) or fleet.lake(name)
    compared = compare(loader.warehouse, fleet.crms[name], modules=MODULES)
    assert sum(each.values for each in compared) > 100
    assert not differences(compared)
    return True


def test_each_organisation_is_synced_whatever_happens_to_others(fleet: FleetOnAirflow) -> None:
    busy = Fault(kind="status", path="/bulk/", status=429, headers={"Retry-After": "1"}, times=3)
    fleet.servers["umbrella"].faults.add(busy)
    good = [name for name in fleet.crms if name != "initech"]

    fleet.airflow("dags", "test", "zoho_fleet")
    first = fleet.states()
    for name in good:
        crm = fleet.crms[name]
        leads = sorted(crm.truth("Leads"))
        crm.update("Leads", leads[0], Last_Name=f"changed in {name}")
        crm.insert("Deals", count=2)
        crm.delete("Leads", leads[1])
    fleet.airflow("dags", "test", "zoho_fleet")
    second = fleet.states()

    # What a person must fix fails at once, and the run with it.
    failed = dict.fromkeys(("initech", "run"), ("failed", 1))
    expected = {**dict.fromkeys(good, ("success", 1)), **failed}
    assert first == second == expected
    assert [name for name in good if whole(fleet, name)] == good
    assert busy.hits == 3
    page = bytes(obstore.get(open_store(fleet.storage, None), "fleet.html").bytes()).decode()
    assert all(name in page for name in fleet.crms)
    assert "fix first" in page


def test_no_secret_is_kept(fleet: FleetOnAirflow) -> None:
    # After the test before, whose logs and tables these are
    kept = [file for file in (fleet.directory / "airflow").rglob("*") if file.is_file()]
    kept += [fleet.directory / "printed.log"]
    store = open_store(fleet.storage, None)
    texts = [file.read_bytes() for file in kept]
    texts += [
        bytes(obstore.get(store, each["path"]).bytes())
        for part in obstore.list(store)
        for each in part
    ]
    secrets = [secret for server in fleet.servers.values() for secret in server.secrets]

    assert any(b"airflow.db" in bytes(file) for file in kept)
    assert len(texts) > 50
    assert len(secrets) > 12
    for secret in secrets:
        assert not any(secret.encode() in text for text in texts)


def test_a_retry_waits_as_long_as_zoho_asks(fleet: FleetOnAirflow) -> None:
    code = (
        "import json, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from zoho_fleet import RunEndedError, WaitAsAsked\n"
        "from zoho_bulk_fleet import Outcome, Result\n"
        "ended = [Result(Outcome.TRY_AGAIN_LATER, 'busy', wait, {}) for wait in (1800, None)]\n"
        "found = [WaitAsAsked().evaluate(RunEndedError(each), 1, 5) for each in ended]\n"
        "print(json.dumps([[each.action.value, str(each.retry_delay)] for each in found]))\n"
    )
    decided = json.loads(fleet.python(code, str(ROOT / "deploy" / "airflow" / "dags")))

    assert decided == [["retry", "0:30:00"], ["default", "None"]]


def test_a_warehouse_is_reached_by_its_connection(
    fleet: FleetOnAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        fleet._environment,  # noqa: SLF001
        "AIRFLOW_CONN_WAREHOUSE",
        "postgres://loader:pass@db.example:5433/crm",
    )
    code = (
        "import json, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from zoho_fleet import organisation_of\n"
        "found = organisation_of({'name': 'acme', 'warehouse': 'warehouse', 'loader': ['x']})\n"
        "print(json.dumps(found.loader_settings))\n"
    )
    settings = json.loads(fleet.python(code, str(ROOT / "deploy" / "airflow" / "dags")))

    assert settings == {
        "host": "db.example",
        "port": 5433,
        "user": "loader",
        "password": "pass",
        "database": "crm",
        "default_target_schema": "acme",
    }
