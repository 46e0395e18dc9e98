"""What a story draws from its seed: settings, selections, faults, and how each run ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from local_zoho_crm import Fault
from tests.simulation.world import ICS
from tests.support.batches import ENCODINGS
from tests.support.singer import select

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulation.world import World

Json = dict[str, Any]

Way = Literal[
    "killed at a message",
    "killed at a request",
    "target gone at a message",
    "SIGTERM at a message",
    "SIGTERM at a request",
    "network lost at a request",
]
_WAYS: tuple[Way, ...] = (
    *("killed at a message", "killed at a message", "killed at a request"),
    *("target gone at a message", "target gone at a message"),
    *("SIGTERM at a message", "SIGTERM at a request", "network lost at a request"),
)
_TOKENS = frozenset({"v7", "v8"})
_MAX_NEW = 30  # records of a module that a run of the story adds
_STUCK_SECONDS = 2
# Zoho's times have whole seconds, so many edits of a second are of interest.
_PACES = ((0,), (0, 0, 0, 1, 2), (0, 1, 7))
_MAX_FRUGAL_PAGES = 12
_PAUSES = (
    *(timedelta(0), timedelta(seconds=1), timedelta(seconds=40), timedelta(minutes=12)),
    *(timedelta(hours=3), timedelta(hours=23, minutes=50), timedelta(hours=25), timedelta(days=3)),
)


@dataclass(frozen=True)
class End:
    """How a run is ended early: in which way, and at which message or request."""

    way: Way
    at: int


@dataclass(frozen=True)
class RunPlan:
    """One run: what happens before it, its settings, and what happens during it.

    Attributes:
        pause: The time since the run before.
        edits_before: Number of edits in that time.
        jobs_forgotten: Whether Zoho has lost all jobs and page tokens since.
        state_lost: Whether the run begins without STATE.
        settings: Settings, besides those of the server.
        catalog: The catalog.
        selected: The properties of each selected stream; None for all.
        edit_rate: Probability of edits at a request.
        pace: Seconds between two edits: one of these.
        fault_rate: Probability of a fault at a request.
        job_faults: Faults of jobs.
        end: How the run is ended early, if it is.
        long_wait: The request at which a day passes, if it does.
    """

    pause: timedelta
    edits_before: int
    jobs_forgotten: bool
    state_lost: bool
    settings: Json
    catalog: Json
    selected: dict[str, list[str] | None]
    edit_rate: float
    pace: tuple[int, ...] = (0,)
    fault_rate: float = 0.0
    job_faults: tuple[Fault, ...] = ()
    end: End | None = None
    long_wait: int | None = None

    @property
    def is_undisturbed(self) -> bool:
        """Return whether Zoho works, and the run goes to its end."""
        return self.is_without_faults and self.end is None

    @property
    def is_without_faults(self) -> bool:
        """Return whether Zoho works, in time."""
        return not (self.fault_rate or self.job_faults or self.long_wait)

    @property
    def has_page_numbers(self) -> bool:
        """Return whether pages are requested by number."""
        return self.settings["api_version"] not in _TOKENS

    def __str__(self) -> str:
        parts = [
            f"after {self.pause}, {self.edits_before} edits",
            str({name: value for name, value in self.settings.items() if name not in _QUICK}),
            f"streams {self.selected}",
            f"edits {self.edit_rate}, faults {self.fault_rate}",
        ]
        parts += [
            f"{each.kind} of {each.module}, skip {each.skip}, {each.times} times"
            for each in self.job_faults
        ]
        parts += ["jobs forgotten"] * self.jobs_forgotten + ["STATE lost"] * self.state_lost
        if self.end:
            parts.append(f"{self.end.way} {self.end.at}")
        if self.long_wait:
            parts.append(f"a day at request {self.long_wait}")
        return "; ".join(parts)


_QUICK: Json = {
    "poll_interval_seconds": 0.001,
    "max_poll_interval_seconds": 0.01,
    "downloads_per_minute": 10_000,
    "max_retries": 3,
}


@dataclass
class Plans:
    """The plans of a story.

    Args:
        seed: Of the story.
        world: Its organisation.
        folder: For BATCH files.
    """

    seed: int
    world: World
    folder: Path
    base: Json = field(init=False)

    def __post_init__(self) -> None:
        rng = random.Random(f"{self.seed}:settings")
        self.page_size = rng.choice((2, 3, 3, 5, 8, 300))
        self.runs = rng.choice((1, 2, 2, 3, 4))
        self.has_deleted = rng.random() < 0.75
        self.emits_deletes = random.Random(f"{self.seed}:emits").random() < 0.4
        self.has_versions = rng.random() < 0.75
        self.separator = ";" if rng.random() < 0.3 else None
        self.refresh_days = rng.choice((1, 3)) if rng.random() < 0.3 else None
        self._dated = sorted(filter(self.world.is_dated, self.world.modules))
        self._full = {name for name in self._dated if rng.random() < 0.2}
        self._skip = rng.random() < 0.5
        self._version = rng.choice(("v8", "v8", "v8", "v7", "v7", "v6", "v5", "v4", "v3", "v2"))
        self.base = {
            **_QUICK,
            "emit_activate_version_messages": self.has_versions,
            "emit_deletes": self.emits_deletes,
            "module_options": self._module_options(),
        }
        if self.separator:
            self.base["multiselect_separator"] = self.separator
        if self.refresh_days:
            self.base["refresh_formulas_days"] = self.refresh_days
        if rng.random() < 0.15:
            self.base["verify_counts"] = True
        self._may_stick = rng.random() < 0.1
        if self._may_stick:
            self.base["job_timeout_seconds"] = _STUCK_SECONDS
        if rng.random() < 0.1:
            start = self.world.organisation.now() - timedelta(minutes=rng.randrange(90))
            self.base["start_date"] = start.isoformat(timespec="seconds")

    def _module_options(self) -> Json:
        options = {name: dict(value) for name, value in self.world.narrowed.items()}
        if {"Contacts", "Accounts"} <= self.world.modules.keys():
            options.setdefault("Contacts", {})["related_fields"] = ["Account_Name.Phone"]
        return options

    @property
    def ever_has_page_numbers(self) -> bool:
        """Return whether a run of the story may request pages by number."""
        return self._version not in _TOKENS or self.runs > 2

    def frugal(self) -> tuple[int, int] | None:
        """Return a limit of API credits, and the number of runs within which all must be read.

        None for most stories.
        """
        rng = random.Random(f"{self.seed}:frugal")
        streams = self.world.streams
        pages = [
            1
            + len(self.world.modules["Events" if stream == ICS else stream].records)
            // self.page_size
            for stream in streams
        ]
        if rng.random() >= 0.2 or sum(pages) > _MAX_FRUGAL_PAGES:
            return None
        # Lists and looks come before the jobs, of which each run has one at least. Each stream
        # waits until all that waited longer have been read, twice if it had begun before the edits.
        limit = rng.choice((80, 150)) + 5 * len(streams)
        return limit, 2 * sum(pages) + 2

    def busy(self, number: int, discovered: Json) -> RunPlan:
        """Return the plan of a run in which anything can happen."""
        rng = random.Random(f"{self.seed}:{number}:plan")
        version = self._version
        if self.runs > 2 and rng.random() < 0.1:
            version = rng.choice(("v8", "v7", "v6", "v2"))
        settings = {
            **self.base,
            "api_version": version,
            "max_concurrent_jobs": rng.choice((1, 2, 10)),
            "max_retries": rng.choice((0, 3)),
        }
        if rng.random() < 0.3:
            settings["max_spool_bytes"] = rng.choice((0, 20_000_000, 50_000_000))
        if self._skip and rng.random() < 0.9:
            settings["skip_unchanged"] = True
        if rng.random() < 0.2:
            settings["lookback_seconds"] = rng.choice((1, 60, 5000))
        if rng.random() < 0.15:
            settings["api_credit_limit"] = rng.choice((60, 120, 200, 400))
        if rng.random() < 0.25:
            settings["batch_config"] = self._batches(rng)
        elif rng.random() < 0.1 and self.separator is None:
            # The SDK's way, one record at a time; it would turn lists into text
            settings |= {"flattening_enabled": True, "flattening_max_depth": 1}
        job_faults = self._job_faults(rng) if rng.random() < 0.3 else ()
        selected = self._selected(rng)
        # A run may read some streams in the other way.
        changed = {name for name in self._dated if rng.random() < 0.03}
        plan = RunPlan(
            pause=rng.choice(_PAUSES),
            edits_before=rng.choice((0, 0, 1, 3, 8)),
            jobs_forgotten=rng.random() < 0.03,
            state_lost=rng.random() < 0.04,
            settings=settings,
            catalog=self._catalog(discovered, selected, self._full ^ changed),
            selected=selected,
            edit_rate=rng.choice((0, 0.1, 0.3, 0.6)),
            pace=rng.choice(_PACES),
            fault_rate=rng.choice((0, 0, 0, 0.05, 0.2)),
            job_faults=job_faults,
            end=self._end(rng),
            long_wait=rng.randint(2, 25) if rng.random() < 0.06 else None,
        )
        if number == self.runs - 1 and rng.random() < 0.5:
            # What a run misses is found sooner if the quiet ones follow it.
            plan = replace(plan, fault_rate=0, job_faults=(), end=None, long_wait=None)
        return plan

    def quiet(self, discovered: Json, *, pause: timedelta, limit: int | None = None) -> RunPlan:
        """Return the plan of a run without edits and faults.

        Args:
            discovered: The discovered catalog.
            pause: The time since the run before.
            limit: API credits of the run.
        """
        settings = {**self.base, "api_version": self._version, "max_concurrent_jobs": 10}
        if self._skip:
            settings["skip_unchanged"] = True
        if limit is not None:
            settings["api_credit_limit"] = limit
        selected: dict[str, list[str] | None] = dict.fromkeys(self.world.streams)
        if self.has_deleted:
            selected["deleted_records"] = None
        return RunPlan(
            pause=pause,
            edits_before=0,
            jobs_forgotten=False,
            state_lost=False,
            settings=settings,
            catalog=self._catalog(discovered, selected, self._full),
            selected=selected,
            edit_rate=0,
        )

    def _batches(self, rng: random.Random) -> Json:
        config: Json = {
            "encoding": rng.choice(ENCODINGS),
            "storage": {"root": self.folder.as_uri(), "prefix": ""},
        }
        if rng.random() < 0.3:
            config["batch_size"] = rng.choice((1, 3))
        return config

    def _selected(self, rng: random.Random) -> dict[str, list[str] | None]:
        """Return the streams of a run: most of them, and sometimes only some of their fields."""
        selected: dict[str, list[str] | None] = {}
        for name in self.world.streams:
            if rng.random() < 0.15:
                continue
            selected[name] = None
            fields = sorted(self.world.fields(name))
            if fields and rng.random() < 0.1:
                chosen = set(rng.sample(fields, rng.randint(1, len(fields))))
                selected[name] = sorted(chosen | {"id"} | ({"Modified_Time"} & set(fields)))
        if self.has_deleted and rng.random() < 0.8:
            selected["deleted_records"] = None
        if rng.random() < 0.1:
            selected[rng.choice(("users", "roles", "fields"))] = None
        if selected.keys() <= {"deleted_records"}:
            selected[self.world.streams[0]] = None  # Nothing to read would be an error.
        return selected

    def _catalog(
        self, discovered: Json, selected: dict[str, list[str] | None], full: set[str]
    ) -> Json:
        """Return the catalog of a run, with these streams as full tables."""
        catalog = select(discovered, selected)
        for each in catalog["streams"]:
            name = each["tap_stream_id"]
            if name in full:
                each["replication_method"] = "FULL_TABLE"
        return catalog

    def may_shift(self, module: str, state: Json | None, plan: RunPlan | None = None) -> bool:
        """Return whether a record may leave a module's result now.

        Below v7, pages are numbered on live data: as documented, a record that leaves a result
        while its pages are read can hide another.

        Args:
            module: Of the record.
            state: The STATE of the last run.
            plan: Of the run that is in progress, if one is.
        """
        if not self.ever_has_page_numbers:
            return True
        bookmarks = (state or {}).get("bookmarks", {})
        streams = [module, ICS] if module == "Events" else [module]
        if any("bulk_read" in bookmarks.get(stream, {}) for stream in streams):
            return False
        if plan is None or not plan.has_page_numbers:
            return True
        return len(self.world.modules[module].records) + _MAX_NEW < self.page_size

    def is_full(self, stream: str) -> bool:
        """Return whether a stream is read completely each time."""
        return stream == ICS or stream in self._full or not self.world.is_dated(stream)

    def _job_faults(self, rng: random.Random) -> tuple[Fault, ...]:
        kinds = rng.choice(
            (
                {"kind": "job_failure"},
                {"kind": "job_stuck", "polls": None if self._may_stick else 2},
                {"kind": "job_state", "polls": 1},
                {"kind": "count_off_by"},
                {"kind": "drop_column"},
                {"kind": "ragged_row"},
            )
        )
        fault = Fault(
            **kinds,
            module=rng.choice(sorted(self.world.modules)),
            skip=rng.choice((0, 0, 1, 2)),
            times=rng.choice((1, 1, 2, 4)),
        )
        return (fault,)

    def _end(self, rng: random.Random) -> End | None:
        if rng.random() < 0.45:
            return None
        way = rng.choice(_WAYS)
        mean = rng.choice((10, 25, 25, 200)) if way.endswith("message") else 15
        return End(way, 1 + int(rng.expovariate(1 / mean)))
