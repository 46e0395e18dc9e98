"""Records generated from a seed: plausible values, and a share of awkward ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from local_zoho_crm.awkward import AWKWARD_TEXTAREAS, AWKWARD_TEXTS, HUGE_TEXT, daylight_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Field, Module, Record

_EPOCH = datetime(2023, 1, 1, tzinfo=timezone.utc)
_SPAN_SECONDS = int(timedelta(days=730).total_seconds())
_POOL = 400
_WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove"),
    *("haven", "inlet", "jetty", "knoll", "larch", "mesa", "nook"),
)
_NAMES = ("Boyle", "Müller", "Nguyễn", "Smith", "Ångström", "O'Neil", "van der Berg", "佐藤")
# Otherwise half of all leads would be converted.
_CONVERTED_SHARE = 0.1
_CONVERTED_TO = ("Converted_Account", "Converted_Contact", "Converted_Deal")
_ARRANGED = frozenset({"Created_Time", "Modified_Time", "Converted_Date_Time", *_CONVERTED_TO})
_MOVED_SHARE = 0.5
_RECURRING_SHARE = 0.6


@dataclass(frozen=True)
class Mix:
    """What kinds of values are generated.

    Attributes:
        awkward: The share of values that are hard to carry, such as quotes and newlines.
        empty: The share of values that are empty, except in mandatory fields.
        pool: Number of different values per field.
    """

    awkward: float
    empty: float
    pool: int = _POOL


def fill(organisation: Organisation, sizes: Mapping[str, int], mix: Mix) -> None:
    """Generate the records of every module, with lookups to records that exist."""
    ids = {
        name: [organisation.new_id() for _ in range(sizes.get(name, 0))]
        for name in organisation.modules
    }
    for name, module in organisation.modules.items():
        # One random generator per module, so that a module's size does not affect another's data
        rng = random.Random(f"{organisation.seed}:{name}")
        row = _RowMaker(organisation, module, rng, ids, mix)
        module.records = {record_id: row.make(record_id) for record_id in ids[name]}
        if mix.awkward and ids[name]:
            _make_huge(module, ids[name][0])


def new_records(organisation: Organisation, module: Module, number: int) -> list[Record]:
    """Return new records, generated as the others were."""
    record_ids = [organisation.new_id() for _ in range(number)]
    modules = organisation.modules.items()
    ids = {name: list(islice(other.records, _POOL)) for name, other in modules}
    rng = random.Random(f"{organisation.seed}:{module.api_name}:{len(module.records)}")
    mix = Mix(awkward=0, empty=0.1, pool=min(number + 2, _POOL))
    row = _RowMaker(organisation, module, rng, ids, mix)
    return [row.make(record_id) for record_id in record_ids]


def _make_huge(module: Module, record_id: str) -> None:
    for field in module.fields.values():
        if field.data_type == "textarea":
            module.records[record_id][field.api_name] = HUGE_TEXT
            return


class _RowMaker:
    """Generates one module's records. Values come from pools, since generating each is slow."""

    def __init__(
        self,
        organisation: Organisation,
        module: Module,
        rng: random.Random,
        ids: Mapping[str, list[str]],
        mix: Mix,
    ) -> None:
        self._rng = rng
        self._awkward = mix.awkward
        self._zone_changes = daylight_changes(organisation.zone)
        self._ids = ids
        self._users = list(organisation.users.records)
        self._pool_size = mix.pool
        self._first_number = len(module.records) + len(module.deleted) + 1
        self._columns = [
            (field.api_name, self._maker(field), 0.0 if field.mandatory else mix.empty)
            for field in module.fields.values()
            if field.exportable and field.api_name not in _ARRANGED
        ]
        self._times = [name for name in ("Created_Time", "Modified_Time") if name in module.fields]
        self._converts = "Converted__s" in module.fields
        self._converted_to = [
            (name, ids.get(module.fields[name].target or "", []))
            for name in _CONVERTED_TO
            if name in module.fields
        ]
        self._series: Record | None = None
        self._is_event = "End_DateTime" in module.fields

    def make(self, record_id: str) -> Record:
        chance = self._rng.random
        record: Record = {"id": record_id}
        for name, make, empty in self._columns:
            record[name] = None if empty and chance() < empty else make()
        if self._times:
            created = self._instant()
            record["Created_Time"] = created
            record["Modified_Time"] = created + timedelta(seconds=int(chance() * 9_000_000))
        if self._converts:
            self._convert(record, converted=chance() < _CONVERTED_SHARE)
        if self._is_event:
            self._arrange_meeting(record)
        return record

    def _convert(self, lead: Record, *, converted: bool) -> None:
        """Set whether a lead was converted, when, and to what."""
        lead["Converted__s"] = lead["$converted"] = converted
        lead["Converted_Date_Time"] = lead["Modified_Time"] if converted else None
        for name, ids in self._converted_to:
            lead[name] = ids[int(lead["id"]) % len(ids)] if converted and ids else None

    def _arrange_meeting(self, meeting: Record) -> None:
        """Set a meeting's end; some meetings recur, and some are a moved instance of the last."""
        meeting["End_DateTime"] = meeting["Start_DateTime"] + timedelta(hours=1)
        chance = self._rng.random()
        if self._series and chance < _MOVED_SHARE:
            series = self._series
            meeting["$series"] = {"id": series["id"], "instance": series["Start_DateTime"]}
            self._series = None
        elif chance < _RECURRING_SHARE:
            meeting["$rule"] = "FREQ=WEEKLY;COUNT=5"
            self._series = meeting

    def _instant(self) -> datetime:
        return _EPOCH + timedelta(seconds=int(self._rng.random() * _SPAN_SECONDS))

    def _maker(self, field: Field) -> Callable[[], Any]:
        """Return a function that generates values of this field."""
        if field.target is not None:
            ids = self._users if field.target == "users" else self._ids.get(field.target, [])
            return self._pick(ids or [None])
        if field.data_type in ("autonumber", "email"):
            serial = count(self._first_number)
            form = "00{:05d}" if field.data_type == "autonumber" else "person{}@example.com"
            return lambda: form.format(next(serial))
        one = self._one(field)
        pool = [one() for _ in range(self._pool_size)]
        awkward = self._awkward_values(field)
        if not awkward or not self._awkward:
            return self._pick(pool)
        return self._pick_either(pool, awkward)

    def _pick(self, pool: list[Any]) -> Callable[[], Any]:
        size, chance = len(pool), self._rng.random
        return lambda: pool[int(chance() * size)]

    def _pick_either(self, pool: list[Any], awkward: list[Any]) -> Callable[[], Any]:
        plain, odd = self._pick(pool), self._pick(awkward)
        chance, share = self._rng.random, self._awkward
        return lambda: odd() if chance() < share else plain()

    def _one(self, field: Field) -> Callable[[], Any]:
        """Return a function that generates plain values of this field."""
        rng = self._rng
        if field.is_tag:
            return lambda: rng.sample(["vip", "2024 fair", "Größe", "follow-up"], rng.randint(0, 3))
        if field.pick_list and field.kind == "list":
            return lambda: rng.sample(field.pick_list, rng.randint(0, len(field.pick_list)))
        if field.pick_list:
            return lambda: rng.choice(field.pick_list)
        places = 2 if field.decimal_place is None else field.decimal_place
        makers: dict[str, Callable[[], Any]] = {
            "integer": lambda: rng.randint(-5, 10_000),
            "bigint": lambda: rng.randint(0, 10**12),
            "number": lambda: Decimal(rng.randint(-(10**6), 10**9)).scaleb(-places),
            "boolean": lambda: rng.random() < 0.5,
            "date": lambda: date(1990, 1, 1) + timedelta(days=rng.randint(0, 15_000)),
            "datetime": self._instant,
            "textarea": lambda: " ".join(rng.choices(_WORDS, k=rng.randint(3, 40))),
        }
        return makers.get(field.kind, self._text(field))

    def _text(self, field: Field) -> Callable[[], str]:
        rng = self._rng
        if field.data_type == "phone":
            return lambda: f"+1 555 {rng.randint(0, 9999999):07d}"
        if field.data_type == "website":
            return lambda: f"https://{rng.choice(_WORDS)}.example/?q={rng.randint(0, 99)}"
        if field.api_name.endswith("Last_Name"):
            return lambda: f"{rng.choice(_NAMES)} {rng.choice(_WORDS)}"
        return lambda: " ".join(rng.choices(_WORDS, k=rng.randint(1, 3))).title()

    def _awkward_values(self, field: Field) -> list[Any]:
        """Return values of this field's type that careless code damages."""
        if field.is_tag or field.pick_list:
            return []
        values: dict[str, list[Any]] = {
            "text": AWKWARD_TEXTS,
            "textarea": AWKWARD_TEXTAREAS,
            "integer": [0, -1, 999_999_999],
            "bigint": [9_223_372_036_854_775_807, 1_234_567_890_123_456_789, 0],
            "number": [
                Decimal(0),
                Decimal("-0.1"),
                Decimal("1234567890123456.123456789"),
                Decimal("0.100000000000000005"),
                Decimal("99999999999999.99"),
            ],
            "date": [date(1900, 1, 1), date(2024, 2, 29), date(9999, 12, 31)],
            "datetime": self._zone_changes,
        }
        return values.get(field.kind, [])
