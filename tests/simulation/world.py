"""The world of a story: an organisation with modules of all kinds, and users who edit it."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local_zoho_crm import CustomView, Field, Module, Organisation
from local_zoho_crm.criteria import compile_criteria

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local_zoho_crm.schema import Record

Key = tuple[str, ...]

ICS = "Events_ics"
VIEW = "Large ones"
LARGE = {"field": {"api_name": "Amount"}, "comparator": "greater_than", "value": "500"}
SECOND = timedelta(seconds=1)

_OWN = ("Orders", "Visits", "Rooms")
_USUAL = (
    *("Leads", "Accounts", "Contacts", "Deals", "Events", "DealHistory", "Quoted_Items"),
    *("Custom_Projects", "Locking_Information__s"),
)
# Just before the hour of a change of the zone's offset, and one zone without changes
_STARTS = (
    ("America/Los_Angeles", datetime(2026, 3, 8, 9, 59, tzinfo=timezone.utc)),
    ("America/Los_Angeles", datetime(2026, 11, 1, 8, 59, tzinfo=timezone.utc)),
    ("Europe/Berlin", datetime(2026, 10, 25, 0, 59, tzinfo=timezone.utc)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 59, tzinfo=timezone.utc)),
    ("Asia/Kolkata", datetime(2026, 5, 5, 18, 29, 30, tzinfo=timezone.utc)),
)
_COLOURS = ("Red", "Green", "Blue")
_FIELDS = (
    Field("Notes", "textarea"),
    Field("Amount", "currency", decimal_place=2),
    Field("Pieces", "integer"),
    Field("Serial", "bigint"),
    Field("Score", "double", decimal_place=9),
    Field("Paid", "boolean"),
    Field("Due", "date"),
    Field("Seen_At", "datetime"),
    Field("Colours", "multiselectpicklist", pick_list=_COLOURS),
    Field("Tag", "text"),
    Field("Owner", "ownerlookup"),
    Field("Total", "formula", return_type="currency"),
    Field("Visits_Count", "rollup_summary", return_type="integer"),
    Field("Address", "text", rejected=True),
    Field("Picture", "profileimage"),
)


_EDITS = ("insert", "update", "delete", "restore", "compute")


class World:
    """An organisation and its users.

    Attributes:
        left: Keys that a stream had once and lacked later, by stream.
        narrowed: Streams of which criteria or a custom view select records.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"{seed}:world")
        zone, start = rng.choice(_STARTS)
        usual = rng.sample(_USUAL, rng.choice((0, 1, 1, 2)))
        if "Contacts" in usual and rng.random() < 0.5:
            usual = sorted({*usual, "Accounts"})
        self.organisation = Organisation.generate(
            seed=seed,
            only=usual,
            sizes={name: rng.choice((0, 3, 9)) for name in usual},
            time_zone=zone,
            awkward=rng.choice((0, 0.3)) if rng.random() < 0.3 else 0,
        )
        self.organisation.set_now(start - timedelta(days=rng.choice((1, 30))))
        for name in rng.sample(_OWN, rng.choice((1, 2, 2, 3))):
            self._add(name, rng)
        self.organisation.set_now(start)
        self.left: dict[str, set[Key]] = {name: set() for name in (*self.modules, ICS)}
        self.narrowed = self._narrowed(rng)
        self._edits: list[str] = []

    @property
    def modules(self) -> dict[str, Module]:
        """Return the modules by API name."""
        return self.organisation.modules

    @property
    def streams(self) -> list[str]:
        """Return the streams of records: the modules, and meetings as calendar events."""
        return [*self.modules, *([ICS] if "Events" in self.modules else [])]

    def _add(self, name: str, rng: random.Random) -> None:
        """Add a module of random fields, whose records changed at random times."""
        fields = rng.sample(_FIELDS, rng.randint(1, 7))
        dated = rng.random() < 0.8
        times = [Field("Modified_Time", "datetime")] if dated else []
        module = Module.of(
            name,
            Field("Name", "text"),
            *fields,
            *times,
            generated_type="custom",
            display_field="Name",
        )
        organisation = self.organisation
        organisation.add_module(module)
        if "Amount" in module.fields:
            module.custom_views.append(
                CustomView(id=organisation.new_id(), name=VIEW, criteria=LARGE)
            )
        size = rng.choice((0, 1, 4, 8, 12, 20))
        for record_id in organisation.insert(name, count=size) if size else ():
            record = module.records[record_id]
            if "Amount" in record:
                record["Amount"] = Decimal(rng.randrange(100_000)).scaleb(-2)
            if dated:
                record["Modified_Time"] -= timedelta(minutes=rng.randrange(50))
        for record_id in rng.sample(sorted(module.records), size // 4):
            organisation.delete(name, record_id)
        if rng.random() < 0.1:
            # More than one page of deleted records
            for record_id in organisation.insert(name, count=rng.choice((199, 201, 230))):
                organisation.delete(name, record_id, permanent=rng.random() < 0.5)
        if module.records and rng.random() < 0.1:
            module.omitted = set(rng.sample(sorted(module.records), 1))

    def _narrowed(self, rng: random.Random) -> dict[str, dict[str, Any]]:
        """Return module options that select records, for some modules."""
        options: dict[str, dict[str, Any]] = {}
        for name, module in self.modules.items():
            if rng.random() < 0.8:
                continue
            if "Amount" in module.fields and module.custom_views:
                options[name] = rng.choice(({"criteria": LARGE}, {"custom_view": VIEW}))
                if name not in _OWN:
                    options[name] = {"criteria": LARGE}
            elif name == "Leads":
                options[name] = {"custom_view": "Web, with an e-mail"}
        return options

    # The truth

    def keys(self, stream: str) -> set[Key]:
        """Return the keys of the records that a stream has now."""
        organisation = self.organisation
        if stream == ICS:
            return set(organisation.calendar_truth()) if "Events" in self.modules else set()
        module = organisation.module(stream)
        options = self.narrowed.get(stream, {})
        criteria = options.get("criteria")
        if "custom_view" in options:
            views = {view.name: view.criteria for view in module.custom_views}
            criteria = views[options["custom_view"]]
        keep: Callable[[Record], bool] = lambda _: True  # noqa: E731
        if criteria is not None:
            keep = compile_criteria(criteria, organisation, module, version=3)
        return {(record_id,) for record_id in organisation.select(module, keep)}

    def staying(self, stream: str) -> set[Key]:
        """Return the keys of the records that a stream has had all the time since it had them."""
        with self.organisation.lock:
            return self.keys(stream) - self.left[stream]

    def truth(self, stream: str, separator: str | None) -> dict[Key, Record]:
        """Return the records that a stream should have, by key."""
        organisation = self.organisation
        if stream == ICS:
            return {key: dict(row) for key, row in organisation.calendar_truth().items()}
        module = organisation.module(stream)
        names = [field.api_name for field in module.fields.values() if field.exportable]
        if stream == "Contacts" and "Accounts" in self.modules:
            names.append("Account_Name.Phone")
        records = organisation.truth(stream, names, separator)
        return {key: records[key[0]] for key in self.keys(stream)}

    def fields(self, stream: str) -> dict[str, Field]:
        """Return the fields of a module's stream."""
        return {} if stream == ICS else self.modules[stream].fields

    def is_computed(self, stream: str, name: str) -> bool:
        """Return whether a value changes without a new Modified_Time."""
        field = self.fields(stream).get(name)
        return field is None or field.is_computed

    def is_dated(self, stream: str) -> bool:
        """Return whether the stream's records show when they changed."""
        return "Modified_Time" in self.fields(stream)

    # Edits

    def edit(self, rng: random.Random, name: str, *, pace: Sequence[int], may_shift: bool) -> None:
        """Edit a record of a module, if it has one that suits.

        Args:
            rng: Chooses what is edited.
            name: Of the module.
            pace: One of these numbers of seconds has passed since the last edit.
            may_shift: Whether the edit may take a record out of a result.
        """
        with self.organisation.lock:
            streams = [name, ICS] if name == "Events" else [name]
            before = {stream: self.keys(stream) for stream in streams}
            self.organisation.advance(rng.choice(pace) * SECOND)
            done = self._edit(rng, self.modules[name], may_shift=may_shift)
            if done:
                now = f"{self.organisation.now():%d %H:%M:%S}"
                self._edits.append(f"{now} {name}: {done}")
            for stream in streams:
                self.left[stream] |= before[stream] - self.keys(stream)

    def take_edits(self) -> list[str]:
        """Return what was edited since the last call, in words."""
        edits, self._edits = self._edits, []
        return edits

    def _edit(self, rng: random.Random, module: Module, *, may_shift: bool) -> str | None:
        organisation, name = self.organisation, module.api_name
        kind = rng.choice((*_EDITS, "update", "update", "restore"))
        if kind == "insert":
            return f"created {organisation.insert(name, count=rng.choice((1, 1, 3)))}"
        if kind == "restore" and module.trash:
            record_id = rng.choice(sorted(module.trash))
            # The documented join needs a Modified_Time after the deletion.
            if module.deleted[record_id].deleted_time >= organisation.now().replace(microsecond=0):
                organisation.advance(SECOND)
            organisation.restore(name, record_id)
            return f"restored {record_id}"
        if not module.records:
            return None
        record_id = rng.choice(sorted(module.records))
        if kind == "delete" and may_shift:
            organisation.delete(name, record_id, permanent=rng.random() < 0.3)
            return f"deleted {record_id}"
        computed = kind == "compute"
        fields = [
            field for field in module.fields.values() if _is_editable(field, computed=computed)
        ]
        if name in self.narrowed and not may_shift:
            fields = []
        values = {
            field.api_name: _value(field, rng) for field in rng.sample(fields, min(2, len(fields)))
        }
        if computed and not values:
            return None
        organisation.update(name, record_id, **values)
        return f"updated {record_id} {values}"


def _is_editable(field: Field, *, computed: bool) -> bool:
    return (
        field.exportable
        and field.listed
        and not field.pick_list
        and not field.is_tag
        and field.is_computed == computed
        and field.data_type not in ("autonumber", "email")
        and not field.api_name.startswith(
            ("Converted", "Created", "Modified", "Last_", "Start_", "End_")
        )
        and field.kind in ("text", "textarea", "integer", "bigint", "number", "boolean", "date")
    )


def _value(field: Field, rng: random.Random) -> Any:
    match field.kind:
        case "integer" | "bigint":
            return rng.randrange(10**6)
        case "number":
            return Decimal(rng.randrange(100_000)).scaleb(-2)
        case "boolean":
            return rng.random() < 0.5
        case "date":
            return date(2026, 1, 1) + timedelta(days=rng.randrange(300))
        case _:
            return f"edited {rng.randrange(10**6)}, again"
