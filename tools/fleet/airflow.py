"""Airflow with Celery, as processes of this machine.

Invariant: all that Airflow writes is below one directory, in one database and in one Redis.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import psycopg
from psycopg.rows import namedtuple_row

from tests.support.singer import ROOT
from tools.fleet.services import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

BIN = ROOT / ".venv-airflow" / "bin"
DAG = "zoho_fleet"
SLOTS = 4
"""Of each worker."""
WORKERS = ("one", "two")
HEARTBEAT_TIMEOUT_SECONDS = 60
"""After how long a task without its worker fails, and is tried again. Airflow's default is 300."""
_START_SECONDS = 240
_STOP_SECONDS = 30
_SHARED = ("api-server", "scheduler", "dag-processor")


class Airflow:
    """Airflow: its database, its programs, and the DAG.

    Args:
        directory: For its files.
        database: URI of an empty PostgreSQL database.
        broker: URL of Redis.
        environment: What its tasks need besides.
    """

    def __init__(
        self, directory: Path, database: str, broker: str, environment: Mapping[str, str]
    ) -> None:
        self.directory = directory
        self._database = database
        self._port = free_port()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = count(1)
        url = f"http://127.0.0.1:{self._port}"
        self.secrets = [secrets.token_hex(32), base64.urlsafe_b64encode(os.urandom(32)).decode()]
        """The keys of its tokens and of its connections."""
        settings = {
            "API__BASE_URL": url,
            "API__HOST": "127.0.0.1",
            "API__PORT": self._port,
            "API__WORKERS": 1,
            "API_AUTH__JWT_SECRET": self.secrets[0],
            "CELERY__BROKER_URL": broker,
            "CELERY__RESULT_BACKEND": database.replace("postgresql:", "db+postgresql+psycopg2:"),
            "CELERY__WORKER_CONCURRENCY": SLOTS,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "CORE__DAGS_FOLDER": ROOT / "deploy" / "airflow" / "dags",
            "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__FERNET_KEY": self.secrets[1],
            "CORE__LOAD_EXAMPLES": False,
            "DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql:", "postgresql+psycopg2:"),
            "DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.replace(
                "postgresql:", "postgresql+asyncpg:"
            ),
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": HEARTBEAT_TIMEOUT_SECONDS,
            # Runs are triggered only.
            "SCHEDULER__USE_JOB_SCHEDULE": False,
        }
        self._environment = {
            **os.environ,
            **environment,
            "AIRFLOW_HOME": str(directory),
            **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        }
        directory.mkdir()

    def set_up(
        self,
        organisations: list[dict[str, Any]],
        connections: dict[str, Any],
        storage: str,
    ) -> None:
        """Create tables, pool, connections and Variable.

        Args:
            organisations: The organisations, as in the Variable.
            connections: Airflow connections by name.
            storage: URL of the fleet's storage.
        """
        self._airflow("db", "migrate")
        self._airflow("pools", "import", str(ROOT / "deploy" / "airflow" / "pools.json"))
        # As an operator would: from a file that is then removed. The database encrypts them.
        file = self.directory / "connections.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(connections))
        self._airflow("connections", "import", str(file))
        file.unlink()
        tap = [str(Path(sys.executable).with_name("tap-zoho-bulk"))]
        fleet = {"storage": storage, "tap": tap, "organisations": organisations}
        self._airflow("variables", "set", DAG, json.dumps(fleet))

    def start(self) -> None:
        """Start everything, and wait until it works."""
        self._start("api-server", "api-server")
        wait_until("Airflow's API answers", self._answers, _START_SECONDS)
        self._start("scheduler", "scheduler")
        self._start("dag-processor", "dag-processor")
        for worker in WORKERS:
            self.start_worker(worker)
        wait_until("Airflow knows the DAG", self._knows_dag, _START_SECONDS)
        for worker in WORKERS:
            wait_until(f"worker {worker} is ready", partial(self._is_ready, worker), _START_SECONDS)

    def start_worker(self, name: str) -> None:
        """Start a worker, also one that was killed.

        Args:
            name: Its name.
        """
        pid_file = self.directory / f"{name}-{next(self._starts)}.pid"
        options = ["--celery-hostname", f"{name}@%h", "--skip-serve-logs", "--pid", str(pid_file)]
        self._start(name, "celery", "worker", *options)

    def stop(self) -> None:
        """Stop all that runs."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)

    def pid(self, name: str) -> int:
        """Return the id of a worker's process, or that of another program.

        Args:
            name: Its name.
        """
        return self._running[name].pid

    @property
    def programs(self) -> dict[str, int]:
        """The ids of all programs, by name."""
        return {name: self.pid(name) for name in (*_SHARED, *WORKERS)}

    def trigger(self, run_id: str) -> None:
        """Start a run of the DAG.

        Args:
            run_id: Its name.
        """
        self._airflow("dags", "trigger", DAG, "--run-id", run_id)

    def states(self, run_id: str) -> Counter[str]:
        """Return how many organisations' tasks are in each state.

        Args:
            run_id: The DAG run.
        """
        return Counter(str(each.state) for each in self.tasks(run_id))

    def tasks(self, run_id: str) -> list[Any]:
        """Return the organisations' tasks: name, state, tries, begin and end.

        Args:
            run_id: The DAG run.
        """
        return self._rows(
            "SELECT rendered_map_index AS name, state, try_number AS tries,"
            " extract(epoch FROM start_date)::float AS began,"
            " extract(epoch FROM end_date)::float AS ended"
            " FROM task_instance WHERE task_id = 'sync' AND run_id = %s AND map_index >= 0",
            run_id,
        )

    def run_state(self, run_id: str) -> str:
        """Return the state of a run of the DAG; "" if there is none.

        Args:
            run_id: The DAG run.
        """
        rows = self._rows("SELECT state FROM dag_run WHERE run_id = %s", run_id)
        return str(rows[0].state) if rows else ""

    def _rows(self, query: str, *values: str) -> list[Any]:
        with psycopg.connect(self._database, row_factory=namedtuple_row) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def _airflow(self, *arguments: str) -> None:
        with (self.directory / "commands.log").open("ab") as log:
            subprocess.run(
                [str(BIN / "airflow"), *arguments],
                env=self._environment,
                stdout=log,
                stderr=log,
                check=True,
                timeout=_START_SECONDS,
            )

    def _start(self, name: str, *arguments: str) -> None:
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(BIN / "airflow"), *arguments],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _is_ready(self, worker: str) -> bool:
        return "ready." in self._log(worker).read_text()

    def _answers(self) -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{self._port}/api/v2/version"):
            return True
        return False

    def _knows_dag(self) -> bool:
        return bool(self._rows("SELECT 1 FROM serialized_dag WHERE dag_id = %s", DAG))
