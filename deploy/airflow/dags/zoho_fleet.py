"""Sync all Zoho organisations every hour, a mapped task for each.

The Variable `zoho_fleet` says which organisations there are, and where their state and data are.
The connection `zoho_bulk_NAME` has the credentials of an organisation. deploy/airflow/README.md
describes both. To list organisations otherwise, change `organisations`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Connection,
    RetryDecision,
    RetryPolicy,
    Variable,
    dag,
    task,
    teardown,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from zoho_bulk_fleet import Fleet, Organisation, Outcome, run

if TYPE_CHECKING:
    from zoho_bulk_fleet import Result


class RunEndedError(Exception):
    """A run ended without success."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"{result.outcome.value}: {result.message}")
        self.result = result


class WaitAsAsked(RetryPolicy):
    """Retries after the time that Zoho asks for, within the task's retries."""

    def evaluate(self, exception: BaseException, *_: object, **__: object) -> RetryDecision:
        """Return when to run again."""
        if not (isinstance(exception, RunEndedError) and exception.result.retry_after_seconds):
            return RetryDecision.default()
        return RetryDecision.retry(timedelta(seconds=exception.result.retry_after_seconds))

    def serialize(self) -> dict[str, Any]:
        """Return what the scheduler needs to know of it, which is nothing."""
        return {}


def organisation_of(described: dict[str, Any]) -> Organisation:
    """Return an organisation with its credentials, and those of its warehouse."""
    name = described["name"]
    zoho = Connection.get(f"zoho_bulk_{name}")
    settings = {"client_id": zoho.login, "client_secret": zoho.password, **zoho.extra_dejson}
    loader_settings = described.get("loader_settings", {})
    if warehouse := described.get("warehouse"):
        postgres = Connection.get(warehouse)
        loader_settings = {
            "host": postgres.host,
            "port": postgres.port,
            "user": postgres.login,
            "password": postgres.password,
            "database": postgres.schema,
            "default_target_schema": name,
            **loader_settings,
        }
    return Organisation(
        name,
        {**settings, **described.get("settings", {})},
        described.get("loader", ()),
        loader_settings,
        described.get("credits_per_day"),
    )


@dag(
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # A run starts although one organisation of the last one is still at work: its lease skips it.
    max_active_runs=4,
    max_active_tasks=1000,  # The pool is the limit.
    tags=["zoho"],
)
def zoho_fleet() -> None:
    """Sync each organisation, then make the page over all."""

    @task
    def organisations() -> list[dict[str, Any]]:
        listed = Variable.get("zoho_fleet", deserialize_json=True)["organisations"]
        return [each if isinstance(each, dict) else {"name": each} for each in listed]

    @task(
        map_index_template="{{ task.op_kwargs['described']['name'] }}",
        pool="zoho_bulk_jobs",
        retries=5,
        retry_delay=timedelta(minutes=5),
        retry_policy=WaitAsAsked(),
        execution_timeout=timedelta(hours=7),
    )
    def sync(described: dict[str, Any]) -> None:
        # Airflow's own handler raises nothing, so the run would not stop until it is killed.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("Airflow ends this task."))
        fleet = Variable.get("zoho_fleet", deserialize_json=True)
        fleet = Fleet(fleet["storage"], tap=fleet.get("tap", ["tap-zoho-bulk"]))
        result = run(organisation_of(described), fleet)
        if result.outcome is Outcome.FIX_FIRST:
            raise AirflowFailException(result.message)
        if result.outcome is Outcome.HELD:
            raise AirflowSkipException(result.message)
        if result.outcome.exit_code:
            raise RunEndedError(result)

    # As a teardown, it runs in any case, and does not make a run green in which a sync failed.
    @teardown
    def page() -> None:
        storage = Variable.get("zoho_fleet", deserialize_json=True)["storage"]
        command = [sys.executable, "-m", "zoho_bulk_fleet", "page", "--storage", storage]
        subprocess.run(command, check=True)  # noqa: S603 - this environment's own

    sync.expand(described=organisations()) >> page()


zoho_fleet()
