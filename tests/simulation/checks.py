"""What must hold: all the time, and of the warehouse after quiet runs."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.simulation.world import ICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import LoggedRequest, ZohoServer
    from local_zoho_crm.jobs import Job
    from tests.simulation.machine import Ended, Pipe
    from tests.simulation.plans import Plans, RunPlan
    from tests.simulation.warehouse import Delivery, Warehouse
    from tests.simulation.world import Key, World

Json = dict[str, Any]

DELETED_AT = "_sdc_deleted_at"
_POLL = re.compile(r"/read/(\d+)$")


class Observer:
    """Watches one run: its requests and its messages, in their order."""

    def __init__(self, plan: RunPlan, server: ZohoServer, pipe: Pipe, delivery: Delivery) -> None:
        self._problems: list[str] = []
        self._lost_jobs: dict[str, list[str]] = {}
        self._plan = plan
        self._server = server
        self._pipe = pipe
        self._delivery = delivery
        self._jobs_before = len(server.jobs)
        self._known: dict[str, int] = {}
        self._emitted: dict[str, set[str]] = {}
        self._announced: set[str] = set()
        self._credits_before = server.credits
        self._faulty = {job.module for job in server.jobs if job.faults}

    def found(self, ended: Ended) -> list[str]:
        """Return what went wrong.

        Args:
            ended: How the run ended. STATE does not name the jobs of a chain that has restarted
                before one of its pages is emitted.
        """
        lost = (
            job
            for name, jobs in self._lost_jobs.items()
            if name not in ended.restarted
            for job in jobs
        )
        return [*self._problems, *self._excess(), *dict.fromkeys(lost)]

    def _excess(self) -> list[str]:
        """Return what a run without faults spent beyond its limit."""
        limit = self._plan.settings.get("api_credit_limit")
        spent = self._server.credits - self._credits_before
        if limit is None or spent <= limit or not self._plan.is_without_faults:
            return []
        return [f"spent {spent} API credits, and may spend {limit}"]

    def request_seen(self, request: LoggedRequest) -> None:
        """Note which jobs the tap knows: those whose state it asks for."""
        if found := _POLL.search(request.path):
            self._known.setdefault(found[1], self._pipe.writes)

    def message_taken(self, message: Json) -> None:
        """Check a message."""
        if message["type"] == "STATE":
            self._check_jobs(json.dumps(message["value"]))
            return
        stream = message["stream"]
        if message["type"] == "SCHEMA":
            self._announced.add(stream)
        elif stream not in self._announced:
            self._problems.append(f"{message['type']} of {stream} before its SCHEMA")
        records = self._delivery.records(self._delivery.messages[-1])
        if stream in self._server.organisation.modules:
            self._emitted.setdefault(stream, set()).update(record["id"] for record in records)
        for record in records:
            self._check_fields(stream, record)

    def _check_fields(self, stream: str, record: Json) -> None:
        selected = self._plan.selected[stream]
        if selected is None:
            return
        fields = self._server.organisation.module(stream).fields
        wanted = {"id"} | {name for name in selected if name == "id" or fields[name].exportable}
        if set(record) != wanted:
            self._problems.append(
                f"{stream} has {sorted(record)}, but {sorted(wanted)} are selected"
            )

    def _check_jobs(self, state: str) -> None:
        """Check that STATE names each paid job whose page has not been emitted completely."""
        if not self._plan.is_without_faults:
            return
        for job in self._server.jobs[self._jobs_before :]:
            if job.module not in self._faulty and self._is_due(job) and f'"{job.id}"' not in state:
                problem = f"STATE lacks job {job.id}, page {job.page} of {job.module}"
                self._lost_jobs.setdefault(job.module, []).append(problem)

    def _is_due(self, job: Job) -> bool:
        # The STATE was made after the last write, and the tap knew the job before that.
        known = self._known.get(job.id, self._pipe.writes)
        if known >= self._pipe.writes or job.outcome is None or job.chain.query.file_type != "csv":
            return False
        return not set(job.outcome.ids) <= self._emitted.get(job.module, set())


def check_tables(world: World, plans: Plans, warehouse: Warehouse, *, computed: bool) -> list[str]:
    """Compare the tables with what Zoho has.

    Args:
        world: The organisation.
        plans: Of the story.
        warehouse: Loaded by runs without edits.
        computed: Whether computed values of incremental streams must be right as well.

    Returns:
        The differences.
    """
    problems = []
    for stream in world.streams:
        module = None if stream == ICS else world.modules[stream]
        if module is None or not module.bulk_error:
            table = _Table(world, plans, warehouse, stream)
            problems += [f"{stream}: {text}" for text in table.differences(computed=computed)]
    return problems


def check_progress(state: Json) -> list[str]:
    """Return a sentence for each stream that is not read to its end."""
    bookmarks = state.get("bookmarks", {})
    return [f"{name} is not complete" for name, value in bookmarks.items() if "bulk_read" in value]


class _Table:
    """The table of one stream."""

    def __init__(self, world: World, plans: Plans, warehouse: Warehouse, stream: str) -> None:
        self._world = world
        self._plans = plans
        self._stream = stream
        self._is_full = plans.is_full(stream)
        self._truth = world.truth(stream, plans.separator)
        self._rows = warehouse.rows(stream)
        self._deleted: dict[Key, str] = {
            (row["id"],): row["deleted_time"]
            for row in warehouse.rows("deleted_records").values()
            if row["module"] == stream
        }

    def differences(self, *, computed: bool) -> Iterator[str]:
        """Yield a sentence for each difference."""
        rows = self._living()
        for key, record in self._truth.items():
            if not self._is_due(record):
                continue
            if key not in rows:
                yield f"{key} is missing"
                continue
            for name, value in rows[key].items():
                if name == DELETED_AT:
                    continue
                if (
                    not computed
                    and not self._is_full
                    and self._world.is_computed(self._stream, name)
                ):
                    continue
                if name not in record or value != record[name]:
                    yield f"{key}.{name} is {value!r}, should be {record.get(name, 'absent')!r}"
        for key in rows.keys() - self._truth.keys():
            if self._is_surplus(key):
                yield f"{key} should not be there"

    def _is_due(self, record: Json) -> bool:
        """Return whether a record must be there."""
        start = self._plans.base.get("start_date")
        if start is None or self._is_full:
            return True
        return datetime.fromisoformat(record["Modified_Time"]) >= datetime.fromisoformat(start)

    def _living(self) -> dict[Key, Json]:
        """Return the rows that are not marked as deleted, and that the documented join leaves."""
        rows = {key: row for key, row in self._rows.items() if not row.get(DELETED_AT)}
        if self._is_full or not self._plans.has_deleted:
            return rows
        return {
            key: row
            for key, row in rows.items()
            if self._deleted.get(key, "") < row["Modified_Time"]
        }

    def _is_surplus(self, key: Key) -> bool:
        """Return whether a row that Zoho lacks should have gone."""
        if key not in self._world.left[self._stream]:
            return True
        if self._is_full and self._plans.has_versions:
            return True
        if self._stream == ICS or self._world.modules[self._stream].is_subform:
            return False
        in_zoho = (
            self._stream in self._world.narrowed
            and key[0] in self._world.modules[self._stream].records
        )
        joined = self._plans.has_deleted and not self._is_full
        return (joined or self._plans.emits_deletes) and not in_zoho
