"""Never do two runs hold a lease: whatever their clocks, their pauses, and the storage's delays."""

from __future__ import annotations

import json
import random
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from zoho_bulk_fleet.lease import Lease, LeaseHeldError, LeaseLostError
from zoho_bulk_fleet.storage import Folder, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 60.0


@dataclass
class World:
    """Time, and what is stored. One actor acts at a time, in a random order."""

    now: float = 0.0
    objects: dict[str, bytes] = field(default_factory=dict)
    actors: list[Actor] = field(default_factory=list)

    def play(self, rng: random.Random, steps: int) -> None:
        """Run actors in turn, and check the invariant after each step."""
        for actor in self.actors:
            actor.start()
            actor.paused.acquire()
        for _ in range(steps):
            alive = [actor for actor in self.actors if actor.is_alive()]
            if not alive:
                return
            # Bursts, as in a run that is quick, and pauses, as of a process that is stopped
            actor, seconds = rng.choice(alive), rng.choice([0.0, 0.1, 1.0, rng.choice([5, 20, 70])])
            for _ in range(rng.choice([1, 2, 5, 20])):
                if actor.is_alive():
                    self.now += seconds
                    actor.act()
                    holders = [each.name for each in self.actors if each.holds]
                    assert len(holders) <= 1, holders

    def end(self) -> None:
        """Run all actors to their end."""
        for actor in self.actors:
            actor.quits = True
            while actor.is_alive():
                actor.act()
        for actor in self.actors:
            assert actor.error is None, actor.error


class QuitError(BaseException):
    """Ends an actor."""


class Actor(threading.Thread):
    """A run that acquires the lease, renews it for a while, and releases or abandons it."""

    def __init__(
        self, world: World, number: int, *, offset: float, rate: float, plan: list[str]
    ) -> None:
        super().__init__(name=f"run {number}", daemon=True)
        self.world = world
        self.offset, self.rate = offset, rate
        self.plan = plan
        self.faults: list[str] = []
        self.quits = False
        self.error: Exception | None = None
        self.paused = threading.Semaphore(0)
        self.resumed = threading.Semaphore(0)
        self.holding = False
        self.acquired = 0
        self.lease = self.new_lease()

    def new_lease(self) -> Lease:
        """Return the lease of a run that begins."""
        return Lease(
            SlowFolder(self),  # type: ignore[arg-type]
            self.name,
            SECONDS,
            clock=self.clock,
            wait=self.wait,
        )

    @property
    def holds(self) -> bool:
        """Whether the run believes that it holds the lease."""
        return self.holding and self.clock() < self.lease.valid_until

    def clock(self) -> float:
        """Return this run's time."""
        return self.offset + self.rate * self.world.now

    def wait(self, seconds: float) -> None:
        """Wait while others act, until these seconds are over."""
        until = self.clock() + seconds
        while self.clock() < until:
            self.pause()
            self.world.now += 1.0

    def pause(self) -> None:
        """Wait while others act, for as long as it takes."""
        self.paused.release()
        self.resumed.acquire()
        if self.quits:
            raise QuitError

    def act(self) -> None:
        """Continue until the next pause."""
        self.resumed.release()
        self.paused.acquire()

    def run(self) -> None:
        """Follow the plan."""
        try:
            self.pause()
            with suppress(QuitError):
                self._follow_plan()
        except Exception as error:  # noqa: BLE001 - the world raises it
            self.error = error
        finally:
            self.holding = False
            self.paused.release()

    def _follow_plan(self) -> None:
        for step in self.plan:
            try:
                if step == "acquire":
                    self.lease.acquire()
                    self.holding = True
                    self.acquired += 1
                elif step == "renew" and self.holding:
                    self.lease.renew()
                elif step == "release" and self.holding:
                    self.holding = False
                    self.lease.release()
                elif step == "work":
                    self.pause()
            except (LeaseHeldError, LeaseLostError):
                self.holding = False
            except StorageError:
                continue
            if not self.holding and step != "work":
                self.lease = self.new_lease()


class SlowFolder:
    """Storage whose requests and responses are late, and sometimes lost."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.objects = actor.world.objects

    def _late(self) -> Iterator[None]:
        self.actor.pause()
        fault = self.actor.faults.pop() if self.actor.faults else ""
        if fault == "lost request":
            raise StorageError(fault)
        yield
        self.actor.pause()
        if fault == "lost response":
            raise StorageError(fault)

    def create(self, path: str, content: bytes) -> bool:
        """Create an object, as `Folder` does."""
        created = False
        for _ in self._late():
            created = self.objects.setdefault(path, content) is content
        return created

    def numbers(self, folder: str) -> list[int]:
        """Return the numbers of all objects."""
        found: list[int] = []
        for _ in self._late():
            found = sorted(int(path.split("/")[1].split(".")[0]) for path in self.objects)
        assert folder == "lease"
        return found

    def read_json(self, path: str) -> Any:
        """Return an object's content."""
        found = b"null"
        for _ in self._late():
            found = self.objects.get(path, b"null")
        return json.loads(found)

    def remove(self, paths: list[str]) -> None:
        """Remove objects."""
        for _ in self._late():
            for path in paths:
                self.objects.pop(path, None)


@pytest.mark.parametrize("seeds", [range(first, first + 100) for first in range(0, 1000, 100)])
def test_never_two_holders(seeds: range) -> None:
    for seed in seeds:
        rng, world = random.Random(seed), World()
        for number in range(rng.choice([2, 2, 3])):
            actor = Actor(
                world,
                number,
                offset=rng.choice([0.0, -1e6, 3600.0]),
                rate=rng.choice([0.96, 1.0, 1.04]),
                plan=["acquire", *rng.choices(STEPS, k=rng.randrange(2, 12))],
            )
            actor.faults = rng.choices(["", "", "", "lost request", "lost response"], k=8)
            world.actors.append(actor)
        try:
            world.play(rng, 150)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
        finally:
            world.end()


STEPS = ["acquire", "renew", "renew", "work", "work", "release"]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path.as_uri(), "acme")


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Move it."""
        self.now += seconds


def lease_of(folder: Folder, owner: str) -> tuple[Lease, Clock]:
    clock = Clock()
    return Lease(folder, owner, SECONDS, clock=clock, wait=clock.wait), clock


def test_a_released_lease_is_acquired_at_once(folder: Folder) -> None:
    first, _ = lease_of(folder, "first")
    first.acquire()
    first.release()
    second, clock = lease_of(folder, "second")

    second.acquire()

    assert second.term > first.term
    assert clock.now == 0


def test_a_lease_that_is_renewed_is_held(folder: Folder) -> None:
    first, _ = lease_of(folder, "first")
    first.acquire()
    second, clock = lease_of(folder, "second")

    def wait(seconds: float) -> None:
        clock.wait(seconds)
        first.renew()

    second._wait = wait  # noqa: SLF001
    with pytest.raises(LeaseHeldError, match="first is syncing"):
        second.acquire()
    first.renew()


def test_an_abandoned_lease_is_taken_over_after_its_seconds_and_its_owner_knows(
    folder: Folder,
) -> None:
    first, _ = lease_of(folder, "first")
    first.acquire()
    second, clock = lease_of(folder, "second")

    second.acquire()

    assert clock.now == pytest.approx(SECONDS)
    assert second.term > first.term
    with pytest.raises(LeaseLostError):
        first.renew()
    second.renew()


def test_the_owner_stops_before_another_run_may_start(folder: Folder) -> None:
    lease, clock = lease_of(folder, "first")
    lease.acquire()
    clock.now = 30

    lease.renew()

    assert lease.valid_until == pytest.approx(30 + 0.9 * SECONDS)


def test_a_number_that_is_free_again_is_not_the_lease(folder: Folder, tmp_path: Path) -> None:
    first, _ = lease_of(folder, "first")
    first.acquire()

    class LateFolder(Folder):
        """Its request to create an object arrives after another run has renewed three times."""

        def create(self, path: str, content: bytes) -> bool:
            """Create an object, as `Folder` does."""
            for _ in range(3):
                first.renew()
            return super().create(path, content)

    second, _ = lease_of(LateFolder(tmp_path.as_uri(), "acme"), "second")
    with pytest.raises(LeaseHeldError):
        second.acquire()
    first.renew()


def test_the_lease_of_a_run_that_died_while_it_wrote_ends_as_well(
    folder: Folder, tmp_path: Path
) -> None:
    written = tmp_path / "organisations" / "acme" / "lease" / "000000000007.json"
    written.parent.mkdir(parents=True)
    written.write_bytes(b'{"owner": "fir')
    lease, clock = lease_of(folder, "second")

    lease.acquire()

    assert lease.term == 8
    assert clock.now == pytest.approx(SECONDS)


def test_old_numbers_are_removed(folder: Folder) -> None:
    lease, _ = lease_of(folder, "first")
    lease.acquire()
    for _ in range(20):
        lease.renew()

    assert folder.numbers("lease") == [21]
