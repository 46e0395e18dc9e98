"""What the fleet's programs use, and what that means for larger fleets."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from tools.fleet.processes import Process, cpu_seconds, tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

_SAMPLE_SECONDS = 2.0
_MIB = 1 << 20


class Memory(threading.Thread):
    """Samples the memory of the slots of workers, within a `with` block.

    A slot is a child of a worker with its descendants. It is busy while a tap is among them.

    Args:
        workers: Ids of the workers' processes.
    """

    def __init__(self, workers: list[int]) -> None:
        super().__init__(daemon=True)
        self._workers = workers
        self._ending = threading.Event()
        self.samples: dict[str, list[float]] = {}
        """MiB by what was measured."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Sample until the block ends."""
        while not self._ending.wait(_SAMPLE_SECONDS):
            for worker in self._workers:
                main, *others = tree(worker) or [Process(worker, 0, ended=True, cpu_seconds=0)]
                self._note("a worker's main process", main.memory_bytes)
                for child in others:
                    if child.parent == worker and not child.ended:
                        self._slot(child)

    def _slot(self, child: Process) -> None:
        parts = {"Airflow": 0, "guard": 0, "tap and loader": 0}
        taps = 0
        guards: set[int] = set()
        for process in tree(child.pid):  # Parents first
            taps += process.is_tap
            if process.is_guard:
                guards.add(process.pid)
                kind = "guard"
            else:
                kind = "tap and loader" if process.parent in guards else "Airflow"
            parts[kind] += process.memory_bytes
        if not taps:
            self._note("an idle slot", sum(parts.values()))
            return
        self._note("a busy slot", sum(parts.values()))
        for kind, used in parts.items():
            self._note(f"  of that, {kind}", used)

    def _note(self, what: str, used: int) -> None:
        if used:
            self.samples.setdefault(what, []).append(used / _MIB)

    def rows(self) -> list[tuple[str, str, str, int]]:
        """Return the median and maximum of each, in MiB, and how many samples there are."""
        return [
            (what, f"{median(found):.0f}", f"{max(found):.0f}", len(found))
            for what, found in self.samples.items()
        ]


@dataclass
class Usage:
    """The CPU seconds of programs, from when it is created until `end`.

    Args:
        programs: Ids of their processes, by name.
    """

    programs: Mapping[str, int]
    used: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = {name: cpu_seconds(pid) for name, pid in self.programs.items()}

    def end(self) -> None:
        """Note what was used."""
        self.used = {
            name: cpu_seconds(pid) - self._before[name] for name, pid in self.programs.items()
        }


@dataclass(frozen=True)
class Costs:
    """What one run of one organisation costs, on average.

    Args:
        airflow_cpu: CPU seconds of Airflow's programs, and of `zoho_bulk_fleet`.
        services_cpu: CPU seconds of PostgreSQL and Redis.
        tap_cpu: CPU seconds of tap and loader.
        task_seconds: How long it occupies a slot.
        slot_mib: Memory of a busy slot.
    """

    airflow_cpu: float
    services_cpu: float
    tap_cpu: float
    task_seconds: float
    slot_mib: float

    @classmethod
    def of(
        cls, usage: Usage, memory: Memory, tasks: list[Any], figures: list[dict[str, Any]]
    ) -> Costs:
        """Return the costs of a run of the DAG.

        Args:
            usage: Of all programs.
            memory: Of the slots.
            tasks: The tasks.
            figures: The figures of their runs.
        """
        count = len(tasks)
        tap = sum(each["cpu_seconds"] for each in figures) / count
        services = sum(usage.used[name] for name in ("postgresql", "redis")) / count
        others = {"postgresql", "redis", "s3", "zoho"}
        airflow = sum(used for name, used in usage.used.items() if name not in others) / count
        return cls(
            airflow - tap,
            services,
            tap,
            mean(each.ended - each.began for each in tasks),
            median(memory.samples.get("a busy slot", [0.0])),
        )

    @property
    def cpu(self) -> float:
        """All CPU seconds, without those of storage."""
        return self.airflow_cpu + self.services_cpu + self.tap_cpu

    def at(self, organisations: int) -> tuple[int, str, str, str]:
        """Return what so many organisations need if each is synced every hour.

        Args:
            organisations: Their number.

        Returns:
            Their number, cores, slots, and memory of the slots.
        """
        slots = max(1.0, organisations * self.task_seconds / 3600)
        return (
            organisations,
            f"{organisations * self.cpu / 3600:.1f}",
            f"{slots:.1f}",
            f"{slots * self.slot_mib / 1024:.1f} GiB",
        )
