"""A Zoho organisation: its data, its clock, and what happens to its records."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from local_zoho_crm import catalog, people, truth
from local_zoho_crm.company_lists import CompanyLists
from local_zoho_crm.generator import Mix, fill, new_records
from local_zoho_crm.meetings import Meeting
from local_zoho_crm.schema import USERS, DeletedRecord, Path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from local_zoho_crm.bulk_write import BulkWriteJob
    from local_zoho_crm.schema import Field, Module, Record

_ID_BASE = 5725767000000400001
_RECYCLE_BIN = timedelta(days=60)
_PERMANENT = timedelta(days=120)


class Organisation:
    """The data of one Zoho customer, which tests change while the server serves it.

    All methods are thread-safe. A change replaces a record's dict and never mutates it, so a
    reader that holds one sees one consistent state.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        time_zone: str = "America/Los_Angeles",
        clock_offset: timedelta = timedelta(0),
    ) -> None:
        self.seed = seed
        self.time_zone = time_zone
        self.zone = ZoneInfo(time_zone)
        self.lock = threading.RLock()
        self.modules: dict[str, Module] = {}
        self.bulk_write_jobs: dict[str, BulkWriteJob] = {}
        self._ids = count(_ID_BASE, 7)
        self._clock_offset = clock_offset
        self._frozen: datetime | None = None
        self.roles = people.roles(self.new_id)
        self.profiles = people.profiles(self.new_id)
        self.users = people.users_module(self)
        self.company = people.company(self)
        self.lists = CompanyLists()
        users = list(self.users.records)
        for number, territory in enumerate(self.lists.territories or []):
            self.lists.territory_users[territory["id"]] = users[number : number + 2]

    @classmethod
    def generate(  # noqa: PLR0913 - all settings
        cls,
        *,
        seed: int = 1,
        sizes: Mapping[str, int] | None = None,
        only: Iterable[str] | None = None,
        time_zone: str = "America/Los_Angeles",
        clock_offset: timedelta = timedelta(0),
        awkward: float = 0.05,
        empty: float = 0.1,
    ) -> Organisation:
        """Generate an organisation with Zoho's usual modules and some unusual ones.

        Args:
            seed: Seed of the data; equal arguments give equal data.
            sizes: Number of records by module; other modules get a few.
            only: API names of the modules to generate; default all.
            time_zone: The time zone of the user who signs in.
            clock_offset: How far the server's clock is ahead of this machine's.
            awkward: The share of values that are hard to carry (quotes, newlines, NUL, ...).
            empty: The share of values that are empty.
        """
        organisation = cls(seed=seed, time_zone=time_zone, clock_offset=clock_offset)
        modules = catalog.modules(organisation.new_id)
        wanted = set(modules) if only is None else set(only)
        if unknown := (wanted | set(sizes or {})) - set(modules):
            raise ValueError(f"No such modules: {sorted(unknown)}")
        chosen = {name: module for name, module in modules.items() if name in wanted}
        for module in chosen.values():
            organisation.add_module(module)
        fill(organisation, {**catalog.SIZES, **(sizes or {})}, Mix(awkward, empty))
        return organisation

    # The clock

    def now(self) -> datetime:
        """Return the server's time in UTC."""
        with self.lock:
            return self._frozen or datetime.now(timezone.utc) + self._clock_offset

    def set_now(self, instant: datetime) -> None:
        """Stop the clock at this instant."""
        with self.lock:
            self._frozen = instant.astimezone(timezone.utc)

    def advance(self, span: timedelta) -> None:
        """Move the clock forward."""
        with self.lock:
            if self._frozen is None:
                self._clock_offset += span
            else:
                self._frozen += span

    def local(self, instant: datetime) -> datetime:
        """Return the instant in the user's time zone."""
        return instant.astimezone(self.zone)

    def timestamp(self, instant: datetime) -> str:
        """Return the instant as Zoho formats it."""
        return self.local(instant).isoformat(timespec="seconds")

    # Modules and records

    def new_id(self) -> str:
        """Return a new unique id."""
        return str(next(self._ids))

    def module(self, api_name: str) -> Module:
        """Return the module with this API name."""
        return self.modules[api_name]

    def add_module(self, module: Module) -> Module:
        """Add a module with its records, and return it."""
        with self.lock:
            module.id = module.id or self.new_id()
            for record_id, record in module.records.items():
                record.setdefault("id", record_id)
            self.modules[module.api_name] = module
        return module

    def target(self, field: Field) -> Module | None:
        """Return the module that a lookup field points to, if it exists."""
        return self.users if field.target == USERS else self.modules.get(field.target or "")

    def parent(self, lookup: Field, record: Record) -> Record | None:
        """Return the record that a lookup of this record points to, if it exists."""
        target = self.target(lookup)
        return target.records.get(record.get(lookup.api_name) or "") if target else None

    def path(self, module: Module, name: str) -> Path | None:
        """Return the path that a query names by `Phone` or `Account_Name.Phone`, if it exists."""
        first, dot, rest = name.partition(".")
        field = module.fields.get(first)
        if not dot:
            return Path(name, field) if field else None
        target = self.target(field) if field else None
        related = target.fields.get(rest) if target else None
        return Path(name, related, via=field) if related else None

    def insert(
        self, module_name: str, *, count: int = 1, values: Mapping[str, Any] | None = None
    ) -> list[str]:
        """Create records, with generated values for fields that are not given; return their ids."""
        with self.lock:
            module, now = self.module(module_name), self._second()
            created = new_records(self, module, count)
            for record in created:
                record.update(self._times(module, now, "Created_Time", "Modified_Time"))
                record.update(values or {})
                module.records[record["id"]] = record
            return [str(record["id"]) for record in created]

    def update(self, module_name: str, record_id: str, **values: Any) -> None:
        """Change a record. Modified_Time stays if only formulas change."""
        with self.lock:
            module = self.module(module_name)
            if unknown := set(values) - set(module.fields):
                raise KeyError(f"{module_name} has no {sorted(unknown)}")
            touch = not values or any(not module.fields[name].is_computed for name in values)
            times = self._times(module, self._second(), "Modified_Time") if touch else {}
            module.records[record_id] = {**module.records[record_id], **times, **values}

    def delete(self, module_name: str, record_id: str, *, permanent: bool = False) -> None:
        """Move a record to the recycle bin, or delete it permanently, also from there.

        A row that is removed from its parent's subform is gone, and Zoho lists it nowhere.
        """
        with self.lock:
            module = self.module(module_name)
            if module.is_subform:
                del module.records[record_id]
                return
            record = module.records.pop(record_id, None) or module.trash[record_id]
            module.trash.pop(record_id, None)
            if not permanent:
                module.trash[record_id] = record
            user = str(self.current_user["id"])
            module.deleted[record_id] = DeletedRecord(
                id=record_id,
                display_name=module.display_name(record),
                type="permanent" if permanent else "recycle",
                deleted_time=self._second(),
                deleted_by=user,
                created_by=str(record.get("Created_By") or user),
            )

    def restore(self, module_name: str, record_id: str, *, touch: bool = True) -> None:
        """Restore a record from the recycle bin."""
        with self.lock:
            module = self.module(module_name)
            record = module.trash.pop(record_id)
            del module.deleted[record_id]
            times = self._times(module, self._second(), "Modified_Time") if touch else {}
            module.records[record_id] = {**record, **times}

    def deleted(self, module_name: str) -> list[DeletedRecord]:
        """Return the deleted records that Zoho still lists, newest first."""
        with self.lock:
            now = self.now()
            listed = [
                row
                for row in self.module(module_name).deleted.values()
                if now - row.deleted_time
                <= (_PERMANENT if row.type == "permanent" else _RECYCLE_BIN)
            ]
        return sorted(listed, key=lambda row: (row.deleted_time, row.id), reverse=True)

    def select(self, module: Module, keep: Callable[[Record], bool]) -> list[str]:
        """Return the sorted ids of the records that bulk read exports and a filter keeps."""
        with self.lock:
            return sorted(
                (
                    record_id
                    for record_id, record in module.records.items()
                    if record_id not in module.omitted and keep(record)
                ),
                key=int,
            )

    def truth(
        self,
        module_name: str,
        fields: Iterable[str] | None = None,
        multiselect_separator: str | None = None,
        *,
        csv_separator: str = ";",
    ) -> dict[str, dict[str, Any]]:
        """Return every record as a correct tap emits it, by id.

        Args:
            module_name: The module's API name.
            fields: Fields to return, such as `Account_Name.Phone`; default all.
            multiselect_separator: Return multi-select picklists as lists if set; default joined.
            csv_separator: The server's separator in multi-select picklists.
        """
        with self.lock:
            return truth.records(
                self,
                self.module(module_name),
                fields,
                as_lists=multiselect_separator is not None,
                separator=csv_separator,
            )

    def calendar_truth(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return every meeting as a correct tap emits it from ICS, by UID and recurrence id."""
        with self.lock:
            records = list(self.module("Events").records.values())
        meetings = [Meeting(self, record).truth for record in records]
        return {(meeting["uid"], meeting["recurrence_id"]): meeting for meeting in meetings}

    # People

    @property
    def current_user(self) -> Record:
        """Return the user who signs in by default."""
        return next(iter(self.users.records.values()))

    def user_reference(self, user_id: str) -> dict[str, str]:
        """Return a reference to a user, as Zoho's responses contain it."""
        user = self.users.records.get(user_id) or self.current_user
        return {"name": user["full_name"], "id": user["id"], "email": user["email"]}

    # Bulk write

    def add_bulk_write_job(self, job: BulkWriteJob) -> str:
        """Add a bulk write job, and return its id."""
        with self.lock:
            job.id = job.id or self.new_id()
            job.created_time = job.created_time or self._second()
            self.bulk_write_jobs[job.id] = job
        return job.id

    def _second(self) -> datetime:
        return self.now().replace(microsecond=0)

    @staticmethod
    def _times(module: Module, now: datetime, *names: str) -> dict[str, datetime]:
        return {name: now for name in names if name in module.fields}
