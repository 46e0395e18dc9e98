"""A run of the tap in a story, with what happens during it: edits, faults, and an early end.

What happens at a request depends on the seed, and on how many requests of its kind its module had
before, but not on the other modules: these run on other threads, at another pace each time.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from local_zoho_crm import Fault, html_error, invalid_token, too_many_requests
from tests.simulation.checks import Observer
from tests.simulation.machine import KilledError, Pipe
from tests.simulation.warehouse import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.simulation.machine import Machine
    from tests.simulation.plans import End, Plans, RunPlan

Json = dict[str, Any]

_JOB = re.compile(r"/read/(\d+)(/result)?$")
_MAX_INVALID_TOKENS = 3
_FAULTS: dict[str, Callable[..., Fault]] = {
    "429": too_many_requests,
    "500": Fault,
    "html": html_error,
    "html with 200": lambda **where: html_error(200, **where),
    "empty": lambda **where: Fault(status=200, **where),
    "reset": lambda **where: Fault(kind="reset", **where),
    "lost": lambda **where: Fault(kind="lost", **where),
    "token refused": invalid_token,
}
_DOWNLOAD_FAULTS: dict[str, Callable[..., Fault]] = {
    **_FAULTS,
    "truncate": lambda **where: Fault(kind="truncate", **where),
    "corrupt": lambda **where: Fault(kind="corrupt", **where),
    "vanish": lambda **where: Fault(kind="vanish", **where),
}


class Run:
    """One run.

    Args:
        number: Of the run in its story.
        plans: Of the story.
        plan: Of the run.
        server: Zoho.
        machine: Runs the tap.
        state: The STATE to begin with.

    Attributes:
        delivery: The messages that reached the target.
        is_target_lost: Whether the target ended early as well.
        log: What happened.
        problems: What went wrong.
    """

    def __init__(  # noqa: PLR0913 - all that meet in a run
        self,
        number: int,
        *,
        plans: Plans,
        plan: RunPlan,
        server: ZohoServer,
        machine: Machine,
        state: Json | None,
    ) -> None:
        self._label = f"{plans.seed}:{number}"
        self._plans = plans
        self._plan = plan
        self._server = server
        self._machine = machine
        self._state = state
        self._lock = threading.Lock()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._requests = 0
        self._invalid_tokens = 0
        self._pipe = Pipe(self._take)
        self.delivery = Delivery(plans.world)
        self._observer = Observer(plan, server, self._pipe, self.delivery)
        self.is_target_lost = False
        self.log: list[str] = []
        self.problems: list[str] = []

    def happen(self) -> None:
        """Run the tap."""
        plan, server = self._plan, self._server
        server.faults.add(*plan.job_faults)
        server.on_request = self._at_request
        try:
            ended = self._machine.run(
                self._pipe,
                config=server.tap_config(**plan.settings),
                catalog=plan.catalog,
                state=self._state,
            )
        finally:
            self._pipe.close()
            server.on_request = None
            server.faults.clear()
        self.log += [*self._plans.world.take_edits(), *ended.log, f"ended: {ended.error!r}"]
        self.problems += self._observer.found(ended)
        self.problems += [f"unexpected {each}" for each in ended.surprises]
        if ended.hung:
            self.problems.append("hung")
        if plan.is_undisturbed and ended.error is not None:
            self.problems.append(f"failed: {ended.error!r}")

    # Messages

    def _take(self, message: Json) -> None:
        with self._lock:
            self.delivery.take(message)
            self._observer.message_taken(message)
            number = len(self.delivery.messages)
        end = self._plan.end
        if end is None or number != end.at:
            return
        match end.way:
            case "killed at a message":
                self._pipe.lost = True
                self.is_target_lost = number % 2 == 0  # The machine of both may be lost.
                raise KilledError
            case "target gone at a message":
                self._pipe.lost = self.is_target_lost = True
                raise BrokenPipeError
            case "SIGTERM at a message":
                # Twice, as Ctrl-C on `meltano run` does
                self._machine.send_signal()
                self._machine.send_signal()

    # Requests

    def _at_request(self, request: LoggedRequest) -> None:
        with self._lock:
            self._requests += 1
            self._observer.request_seen(request)
            if self._requests == self._plan.long_wait:
                self._plans.world.organisation.advance(timedelta(hours=25))
            module, what = self._described(request)
            self._seen[module, what] += 1
            rng = random.Random(f"{self._label}:{module}:{what}:{self._seen[module, what]}")
            if what != "token":
                self._edit(rng, module)
                self._fail(rng, request, what)
            end = self._plan.end
            if end is not None and self._requests == end.at:
                self._end(end)

    def _edit(self, rng: random.Random, module: str) -> None:
        if rng.random() >= self._plan.edit_rate:
            return
        world = self._plans.world
        if rng.random() < 0.7:
            self._server.run_jobs()
        for _ in range(rng.choice((1, 1, 2, 3))):
            chosen = module
            if module not in world.modules or rng.random() < 0.2:
                chosen = rng.choice(sorted(world.modules))
            may_shift = self._plans.may_shift(chosen, self._state, self._plan)
            world.edit(rng, chosen, pace=self._plan.pace, may_shift=may_shift)

    def _fail(self, rng: random.Random, request: LoggedRequest, what: str) -> None:
        if rng.random() >= self._plan.fault_rate:
            return
        kinds = _DOWNLOAD_FAULTS if what == "download" else _FAULTS
        kind = rng.choice(sorted(kinds))
        if kind == "token refused":
            self._invalid_tokens += 1
            if self._invalid_tokens > _MAX_INVALID_TOKENS:
                return
        path = f"^{re.escape(request.path)}$"
        self._server.faults.add(kinds[kind](method=request.method, path=path))
        self.log.append(f"fault: {kind} at {request.method} {request.path}")

    def _end(self, end: End) -> None:
        match end.way:
            case "killed at a request":
                self._machine.lose_power(self._pipe)
            case "SIGTERM at a request":
                self._machine.send_signal()
            case "network lost at a request":
                # The sign-in still works: the tap requests up to 10 tokens in 10 minutes.
                self._server.faults.add(Fault(kind="reset", path="^/crm/", times=None))

    def _described(self, request: LoggedRequest) -> tuple[str, str]:
        """Return the module of a request, if it has one, and what it asks for."""
        if found := _JOB.search(request.path):
            jobs = {job.id: job for job in self._server.jobs}
            module = jobs[found[1]].module if found[1] in jobs else ""
            return module, "download" if found[2] else "poll"
        if request.path.startswith("/oauth"):
            return "", "token"
        if request.method == "POST":
            return self._module_of(request.json["query"]), "create"
        parts = request.path.split("/")
        return parts[3], parts[-1]

    def _module_of(self, query: Json) -> str:
        """Return the module of a query, or of the query that a page token stands for."""
        if "page_token" in query:
            for job in self._server.jobs:
                if job.outcome and job.outcome.next_page_token == query["page_token"]:
                    return job.module
            return ""
        module = query["module"]
        return str(module["api_name"] if isinstance(module, dict) else module)
