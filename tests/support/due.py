"""What a second sync of an organisation must load, computed without the tap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from local_zoho_crm import Organisation, ZohoServer
    from local_zoho_crm.jobs import Job
    from tests.support.warehouse import Warehouse

Key = tuple[str, ...]
"""The key of a row: the id of a record, or the module and id of a deleted record."""

Loads = dict[str, dict[Key, datetime]]
"""When each row was last loaded, by stream and key."""


def loads(warehouse: Warehouse, organisation: Organisation) -> Loads:
    """Return when each row of the warehouse was last loaded."""
    found = {name: warehouse.loaded(name, "id") for name in organisation.modules}
    return found | {"deleted_records": warehouse.loaded("deleted_records", "module", "id")}


def moved(before: Loads, after: Loads) -> dict[str, set[Key]]:
    """Return the keys of the rows that were loaded in between, by stream."""
    return {
        stream: {key for key, instant in rows.items() if before[stream].get(key) != instant}
        for stream, rows in after.items()
    }


@dataclass(frozen=True)
class Bookmarks:
    """The bookmark of each module after a sync, by the rules of the documentation.

    A bookmark is the latest Modified_Time, but never later than the creation of the module's first
    job by the server's clock.
    """

    by_module: Mapping[str, datetime]
    deleted: frozenset[Key]

    @classmethod
    def of(cls, organisation: Organisation, server: ZohoServer, first: int = 0) -> Bookmarks:
        """Return the bookmarks after a sync that has just ended, with no change since.

        Args:
            organisation: What was synced.
            server: From where.
            first: How many jobs had been created before the sync.
        """
        first_jobs: dict[str, Job] = {}
        for job in server.jobs[first:]:
            first_jobs.setdefault(job.module, job)
        found = {}
        for name, job in first_jobs.items():
            module = organisation.module(name)
            times = [
                module.records[record_id]["Modified_Time"]
                for record_id in organisation.truth(name)
                if "Modified_Time" in module.fields
            ]
            if times:
                found[name] = min(max(times), job.created_time.replace(microsecond=0))
        return cls(found, _deleted(organisation))

    def due(
        self,
        organisation: Organisation,
        *,
        in_streams: bool = False,
        read_all: Collection[str] = (),
    ) -> dict[str, set[Key]]:
        """Return the keys of the rows that the next sync must load, by stream.

        A record that was modified in the bookmark's own second is read again by design: another may
        have been written in that second after the first sync read it.

        Args:
            organisation: What is synced.
            in_streams: Whether deletes come in the streams of their modules.
            read_all: Modules of which all records are due.
        """
        due: dict[str, set[Key]] = {
            name: {
                (record_id,)
                for record_id in organisation.truth(name)
                if name not in self.by_module
                or name in read_all
                or organisation.module(name).records[record_id]["Modified_Time"]
                >= self.by_module[name]
            }
            for name in organisation.modules
        }
        deleted = set(_deleted(organisation) - self.deleted)
        if not in_streams:
            return due | {"deleted_records": deleted}
        for name, record_id in deleted:
            due[name].add((record_id,))
        return due | {"deleted_records": set()}

    def repeated(self, organisation: Organisation) -> dict[str, int]:
        """Return how many records are due only because of the bookmark's second, by module."""
        return {
            name: sum(
                organisation.module(name).records[record_id]["Modified_Time"] == bookmark
                for record_id in organisation.truth(name)
            )
            for name, bookmark in self.by_module.items()
        }


def _deleted(organisation: Organisation) -> frozenset[Key]:
    return frozenset(
        (name, row.id) for name in organisation.modules for row in organisation.deleted(name)
    )
