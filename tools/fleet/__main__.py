"""Sync a fleet of local Zoho CRMs by Airflow, twice, with kills in the first run.

What is in the warehouses is checked, and what the runs use is measured.

In the first run, a worker's main process is killed, then another worker with all that it started,
as if its machine died, then Redis. All are started again. Between the runs, records of each
organisation are edited. The program fails if a value in a warehouse differs from the server's, if
two processes of the tap worked for one organisation at once, if a server refused a request that
exceeds a limit, or if a secret is found anywhere.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from itertools import chain
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import psycopg

from tests.support.loaders import plugin_of, postgres_loader
from tests.support.meltano_project import loader_executable
from tests.support.postgres import postgres_server
from tests.support.s3_server import s3_server
from tests.support.singer import ROOT
from tests.support.warehouse import compare, differences
from tools.demo.terminal import heading, say, table
from tools.fleet import secrecy
from tools.fleet.airflow import SLOTS, WORKERS, Airflow
from tools.fleet.lake import Lake
from tools.fleet.measures import Costs, Memory, Usage
from tools.fleet.organisations import (
    DOWNLOADS_PER_MINUTE,
    MODULES,
    TOKENS_PER_TEN_MINUTES,
    Tenant,
    limits_crossed,
    overlaps,
    peak_downloads,
    peak_sign_ins,
    processes_of_tap,
)
from tools.fleet.processes import adopt_orphans, kill_tree, tree
from tools.fleet.services import GivenUpError, Redis, wait_until

if TYPE_CHECKING:
    from tests.support.loaders import Loader

OUTPUT = ROOT / "output" / "fleet"
STORAGE = "s3://fleet/zoho"
_FILES = {"batch_config": {"encoding": {"format": "parquet"}}}
_EVERY_WITH_POSTGRES = 25
_RUN_SECONDS = 3600
_ORPHAN_SECONDS = 60
_SHOWN = 20


class FleetRun:
    """The fleet, and what was found wrong with it.

    Args:
        airflow: Airflow, set up.
        redis: Its broker.
        tenants: The organisations, served.
        loaders: The loaders of some of them, by name.
        database: URI of Airflow's database.
        warehouse: URI of the loaders' database.
    """

    def __init__(
        self,
        airflow: Airflow,
        redis: Redis,
        tenants: list[Tenant],
        loaders: dict[str, Loader],
        databases: tuple[str, ...],
    ) -> None:
        self._airflow = airflow
        self._redis = redis
        self._tenants = tenants
        self._loaders = loaders
        self._databases = databases
        self.problems: list[str] = []

    def with_kills(self, run_id: str) -> None:
        """Run the DAG, with kills.

        Args:
            run_id: Name of the run.
        """
        began = time.monotonic()
        self._airflow.trigger(run_id)
        count = len(self._tenants)
        one = self._worker_at_work(run_id, count // 4)
        taps = _taps(self._airflow.pid(one))
        os.kill(self._airflow.pid(one), signal.SIGKILL)
        killed = time.monotonic()
        say(f"{self._progress(run_id)}: killed the main process of worker {one} ({len(taps)} taps)")
        wait_until("its taps have ended", lambda: not taps & _taps(os.getpid()), _ORPHAN_SECONDS)
        say(f"{time.monotonic() - killed:.1f} s later, none of its taps was there")
        self._airflow.start_worker(one)
        two = self._worker_at_work(run_id, count // 2)
        taps = _taps(self._airflow.pid(two))
        commands = kill_tree(self._airflow.pid(two))
        say(
            f"{self._progress(run_id)}: killed worker {two} and all that it started:"
            f" {len(commands)} processes ({len(taps)} taps)"
        )
        self._airflow.start_worker(two)
        self._wait(run_id, 3 * count // 4)
        self._redis.kill()
        self._redis.start()
        say(f"{self._progress(run_id)}: killed Redis and started it again")
        self._end(run_id)
        tries = sorted(each.tries for each in self._airflow.tasks(run_id))
        again = sum(each > 1 for each in tries)
        say(f"after {time.monotonic() - began:.0f} s, {again} tasks had more than one try")
        if not again:
            self.problems.append("The kills met no run.")

    def measured(self, run_id: str, programs: dict[str, int]) -> None:
        """Run the DAG and print what that cost.

        Args:
            run_id: Name of the run.
            programs: Processes besides Airflow's, by name.
        """
        usage = Usage({**self._airflow.programs, **programs})
        began = time.monotonic()
        load = os.getloadavg()[0]
        with Memory([self._airflow.pid(worker) for worker in WORKERS]) as memory:
            self._airflow.trigger(run_id)
            self._end(run_id)
        seconds = time.monotonic() - began
        usage.end()
        tasks = self._airflow.tasks(run_id)
        lake = Lake(STORAGE)
        figures = [lake.figures(each.name)[-1] for each in tasks]
        costs = Costs.of(usage, memory, tasks, figures)
        self._print(seconds, tasks, figures, costs)
        say(f"load of the machine before {load:.1f}, after {os.getloadavg()[0]:.1f}")
        table(
            ["CPU seconds", "all", "for a task"],
            [
                (name, f"{used:.0f}", f"{used / len(tasks):.2f}")
                for name, used in usage.used.items()
            ],
        )
        table(["memory, MiB (PSS)", "median", "maximum", "samples"], memory.rows())
        say("Calculated from these, for a run of each organisation every hour:")
        table(
            ["organisations", "cores", "slots", "memory of slots"],
            [costs.at(count) for count in (len(tasks), 500, 5000)],
        )

    def _print(
        self, seconds: float, tasks: list[Any], figures: list[dict[str, Any]], costs: Costs
    ) -> None:
        cores = os.cpu_count() or 1
        count = len(tasks)
        span = max(each.ended for each in tasks) - min(each.began for each in tasks)
        over = [
            task.ended - task.began - each["tap_seconds"]
            for task, each in zip(tasks, figures, strict=True)
        ]
        say(f"{count} organisations in {seconds:.0f} s, of which tasks ran for {span:.0f} s")
        say(f"{60 * count / span / cores:.1f} organisations a minute and core, beside other load")
        say(f"{60 / costs.cpu:.1f} organisations a minute and core, by CPU seconds")
        say(f"{costs.task_seconds:.1f} s for a task on average, {costs.cpu:.2f} s of CPU:")
        say(f"  Airflow {costs.airflow_cpu:.2f}, PostgreSQL and Redis {costs.services_cpu:.2f}")
        say(f"  tap and loader {costs.tap_cpu:.2f}")
        say(f"{mean(each['tap_seconds'] for each in figures):.1f} s of a task are the tap's run")
        say(f"{median(over):.1f} s in the median are the task's besides, {max(over):.1f} s at most")

    def edit(self) -> None:
        """Edit the records of all organisations."""
        for tenant in self._tenants:
            tenant.edit()

    def check(self, runs: int) -> None:
        """Compare each organisation with its server, and look for overlaps, refusals and secrets.

        Args:
            runs: How many runs of each organisation have been ok.
        """
        lake = Lake(STORAGE)
        values = 0
        for tenant in self._tenants:
            loader = self._loaders.get(tenant.name)
            warehouse = loader.warehouse if loader else lake.warehouse(tenant.name)
            compared = compare(warehouse, tenant.organisation, modules=MODULES)
            values += sum(each.values for each in compared)
            found = differences(compared)
            if len(compared) < len(MODULES):
                found.append("modules are missing")
            ok = [each for each in lake.figures(tenant.name) if each["outcome"] == "ok"]
            if len(ok) < runs:
                found.append(f"{len(ok)} runs were ok, not {runs}")
            found += overlaps(tenant.seen)
            found += [
                f"beyond a limit {many} times: {what}"
                for what, many in limits_crossed(tenant.seen).items()
            ]
            self.problems += [f"{tenant.name}: {text}" for text in found]
        seen = [tenant.seen for tenant in self._tenants]
        say(f"{values:,} values compared with the servers'")
        say(
            f"{sum(map(len, seen)):,} requests of {sum(map(processes_of_tap, seen)):,} processes"
            " of the tap, none of which overlapped with another one of its organisation"
            if not any(map(overlaps, seen))
            else "processes of the tap overlapped"
        )
        say(f"downloads in a minute: {max(map(peak_downloads, seen))} of {DOWNLOADS_PER_MINUTE}")
        say(
            f"sign-ins in ten minutes: {max(map(peak_sign_ins, seen))} of {TOKENS_PER_TEN_MINUTES};"
            f" requests beyond a limit: {sum(sum(limits_crossed(each).values()) for each in seen)}"
        )
        self._check_secrets(lake)

    def _check_secrets(self, lake: Lake) -> None:
        secrets = {*self._airflow.secrets}
        secrets.update(chain.from_iterable(each.server.secrets for each in self._tenants))
        texts = [
            *secrecy.files(OUTPUT),
            *lake.texts(),
            *chain.from_iterable(map(secrecy.tables, self._databases)),
        ]
        # Client IDs are public: that they are found shows that the tables are read.
        known = {each.server.desk.client_id for each in self._tenants}
        places = secrecy.found(texts, known)
        if set().union(*places.values()) != known:
            self.problems.append("The search for secrets does not find what is there.")
        leaks = secrecy.found(texts, secrets)
        self.problems += [f"{len(which)} secrets are in {name}" for name, which in leaks.items()]
        size = sum(len(content) for _, content in texts) / 1e6
        say(
            f"{len(secrets)} secrets, found {len(leaks)} times in {len(texts):,} files, objects and"
            f" tables of {size:,.0f} MB"
        )

    def _progress(self, run_id: str) -> str:
        return f"{self._airflow.states(run_id)['success']} organisations done"

    def _has_ended(self, run_id: str) -> bool:
        return self._airflow.run_state(run_id) in {"success", "failed"}

    def _wait(self, run_id: str, done: int) -> None:
        wait_until(
            f"{done} organisations are synced",
            lambda: self._airflow.states(run_id)["success"] >= done or self._has_ended(run_id),
            _RUN_SECONDS,
        )

    def _worker_at_work(self, run_id: str, done: int) -> str:
        """Wait until so many organisations are synced and a tap runs; return its worker."""
        self._wait(run_id, done)
        found: list[str] = []

        def at_work() -> bool:
            found[:] = [name for name in WORKERS if _taps(self._airflow.pid(name))]
            return bool(found) or self._has_ended(run_id)

        wait_until("a worker runs a tap", at_work, _RUN_SECONDS)
        if not found:
            raise GivenUpError("The run ended before its kills. Use more organisations.")
        return found[0]

    def _end(self, run_id: str) -> None:
        wait_until(
            f"run {run_id} has ended",
            lambda: self._has_ended(run_id),
            _RUN_SECONDS,
        )
        if self._airflow.states(run_id) != {"success": len(self._tenants)}:
            self.problems.append(f"{run_id}: {dict(self._airflow.states(run_id))}")


def _taps(root: int) -> set[int]:
    """Return the ids of the taps among a process's descendants."""
    return {each.pid for each in tree(root) if each.is_tap and not each.ended}


def _entry(tenant: Tenant, loader: Loader | None) -> dict[str, Any]:
    """Return an organisation as it is in the Variable."""
    entry: dict[str, Any] = {"name": tenant.name, "settings": _FILES}
    if loader:
        plugin = plugin_of("loaders", loader.plugin)
        entry["loader"] = [str(loader_executable(loader.plugin, plugin["executable"]))]
        entry["loader_settings"] = {**plugin["config"], **loader.settings}
    return entry


def main() -> None:
    """Play the story, and exit with 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--organisations", type=int, default=100)
    count = parser.parse_args().organisations
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM):  # So that all processes end, also then.
        signal.signal(number, lambda *_: sys.exit(1))
    with ExitStack() as stack:
        stack.callback(kill_tree, os.getpid(), with_root=False)
        heading(f"{count} organisations, {len(WORKERS)} workers with {SLOTS} slots")
        storage = stack.enter_context(s3_server("fleet"))
        os.environ |= storage
        database = stack.enter_context(postgres_server())
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("CREATE DATABASE warehouse")
        warehouse = database.replace("/postgres?", "/warehouse?")
        redis = Redis(OUTPUT / "redis")
        redis.start()
        tenants = [Tenant(number) for number in range(1, count + 1)]
        for tenant in tenants:
            stack.enter_context(tenant.server)
        loaders = {
            tenant.name: postgres_loader(OUTPUT / "loaders", warehouse, tenant.name)
            for tenant in tenants[::_EVERY_WITH_POSTGRES]
        }
        airflow = Airflow(OUTPUT / "airflow", database, redis.url, storage)
        airflow.set_up(
            [_entry(tenant, loaders.get(tenant.name)) for tenant in tenants],
            {f"zoho_bulk_{tenant.name}": tenant.connection() for tenant in tenants},
            STORAGE,
        )
        stack.callback(airflow.stop)
        airflow.start()
        fleet = FleetRun(airflow, redis, tenants, loaders, (database, warehouse))

        heading("First run, with kills")
        fleet.with_kills("first")
        fleet.check(1)
        fleet.edit()
        heading("Second run, after edits")
        children = {
            each.command: each.pid for each in tree(os.getpid()) if each.parent == os.getpid()
        }
        fleet.measured(
            "second",
            {
                "redis": redis.pid,
                "postgresql": next(pid for name, pid in children.items() if "bin/postgres" in name),
                "s3": next(pid for name, pid in children.items() if "s3_server" in name),
            },
        )
        fleet.check(2)
    if fleet.problems:
        heading(f"{len(fleet.problems)} problems")
        for problem in fleet.problems[:_SHOWN]:
            say(problem)
        sys.exit(1)
    heading("All is well")


if __name__ == "__main__":
    main()
