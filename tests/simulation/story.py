"""A story: runs of the tap among edits and faults, then quiet runs, after which all is checked."""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from local_zoho_crm import ZohoServer
from tests.simulation.checks import check_progress, check_tables
from tests.simulation.machine import Machine
from tests.simulation.plans import Plans
from tests.simulation.run import Run
from tests.simulation.warehouse import Warehouse
from tests.simulation.world import SECOND, World

if TYPE_CHECKING:
    from tests.simulation.plans import Json, RunPlan

_QUIET_RUNS = 2
_SKEWS = (
    *(timedelta(0), timedelta(minutes=15), timedelta(minutes=-15), timedelta(days=-3)),
    timedelta(days=400),
)


class StoryError(AssertionError):
    """A story went wrong.

    Args:
        seed: Of the story.
        problems: What went wrong.
        log: What happened.
    """

    def __init__(self, seed: int, problems: list[str], log: list[str]) -> None:
        listed = "\n  ".join(problems[:10])
        super().__init__(
            f"seed {seed}:\n  {listed}\nReplay it with its log: make simulate SEEDS={seed}"
        )
        self.seed = seed
        self.problems = problems
        self.log = log


class Story:
    """What one seed leads to.

    Args:
        seed: The seed.
    """

    def __init__(self, seed: int) -> None:
        self.runs = 0
        self._seed = seed
        self._log: list[str] = []
        self._world = World(seed)
        self._warehouse = Warehouse()
        self._skew = random.Random(f"{seed}:skew").choice(_SKEWS)
        self._machine = Machine(lambda: self._world.organisation.now() + self._skew)

    def play(self) -> None:
        """Play the story.

        Raises:
            StoryError: When something went wrong.
        """
        organisation = self._world.organisation
        with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
            plans = Plans(self._seed, self._world, Path(folder))
            self._log.append(
                f"{organisation.time_zone}, machine ahead by {self._skew}, "
                f"pages of {plans.page_size}, {plans.base}"
            )
            with ZohoServer(
                organisation,
                page_size=plans.page_size,
                tokens_per_ten_minutes=None,
                concurrent_requests=None,
            ) as server:
                self._play(plans, server)

    def _play(self, plans: Plans, server: ZohoServer) -> None:
        catalog = self._machine.discover(server.tap_config(**plans.base))
        for number in range(plans.runs):
            self._run(plans, plans.busy(number, catalog), server)
        frugal = plans.frugal()
        if frugal is not None:
            self._read_frugally(plans, server, catalog, *frugal)
        pause = random.Random(f"{self._seed}:pause").choice((0, 1, 9000)) * SECOND
        # A run that resumes an old chain may lack what changed since; the next one has it.
        for _ in range(_QUIET_RUNS):
            self._run(plans, plans.quiet(catalog, pause=pause), server)
            pause = 5 * SECOND
        self._check(plans, computed=False)
        if plans.refresh_days is not None:
            # When a refresh is due depends on the machine's clock.
            pause = timedelta(days=plans.refresh_days + 1) + max(-self._skew, timedelta(0))
            self._run(plans, plans.quiet(catalog, pause=pause), server)
            self._check(plans, computed=True)

    def _read_frugally(
        self, plans: Plans, server: ZohoServer, catalog: Json, limit: int, max_runs: int
    ) -> None:
        """Read everything in runs of few API credits, without edits."""
        differences: list[str] = []
        for _ in range(max_runs):
            self._run(plans, plans.quiet(catalog, pause=SECOND, limit=limit), server)
            differences = check_tables(self._world, plans, self._warehouse, computed=False)
            if not differences:
                return
        self._raise([f"after {max_runs} runs of {limit} credits:", *differences])

    def _run(self, plans: Plans, plan: RunPlan, server: ZohoServer) -> None:
        """Run the tap after some time, and load what it delivers."""
        self.runs += 1
        self._log.append(f"RUN {self.runs}: {plan}")
        self._pass_time(plans, plan, server)
        run = Run(
            self.runs,
            plans=plans,
            plan=plan,
            server=server,
            machine=self._machine,
            state=self._warehouse.state,
        )
        run.happen()
        rng = random.Random(f"{self._seed}:{self.runs}:delivery")
        stored = self._warehouse.load(run.delivery, rng if run.is_target_lost else None)
        self._log += (f"   {line}" for line in (*run.log, stored))
        problems = [*run.problems, *self._warehouse.problems]
        self._raise([f"run {self.runs}: {problem}" for problem in problems])

    def _pass_time(self, plans: Plans, plan: RunPlan, server: ZohoServer) -> None:
        """Pass the time between two runs, in which Zoho works and users edit."""
        rng = random.Random(f"{self._seed}:{self.runs}:between")
        world, organisation = self._world, self._world.organisation
        if rng.random() < 0.8:
            server.run_jobs()
        if plan.state_lost:
            self._warehouse.state = None
        before = plan.pause * rng.random()
        organisation.advance(before)
        for _ in range(plan.edits_before):
            module = rng.choice(sorted(world.modules))
            may_shift = plans.may_shift(module, self._warehouse.state)
            world.edit(rng, module, pace=(0, 1, 7), may_shift=may_shift)
        # Two processes do not start in the same second.
        organisation.advance(plan.pause - before + SECOND)
        if plan.jobs_forgotten:
            server.forget_jobs()
        self._log += (f"   {edit}" for edit in world.take_edits())

    def _check(self, plans: Plans, *, computed: bool) -> None:
        self._raise(check_tables(self._world, plans, self._warehouse, computed=computed))
        self._raise(check_progress(self._warehouse.state or {}))

    def _raise(self, problems: list[str]) -> None:
        if problems:
            raise StoryError(self._seed, problems, self._log)
