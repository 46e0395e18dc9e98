"""The plan's command line, for the tests of this folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.program import Program
from tests.support.singer import FAST, TapCommand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_zoho_crm import ZohoServer
    from tests.support.singer import Json


@dataclass(frozen=True)
class Planned:
    """The output of `tap-zoho-bulk-plan`."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Json:
        """Return the plan, printed as JSON."""
        plan = json.loads(self.stdout)
        assert isinstance(plan, dict)
        return plan

    def stream(self, name: str) -> Json:
        """Return what is planned for a stream."""
        (found,) = [each for each in self.json["streams"] if each["name"] == name]
        assert isinstance(found, dict)
        return found


class PlanCommand:
    """Runs `tap-zoho-bulk-plan`, and checks that it prints no secret, and what jobs it starts."""

    def __init__(self, command: TapCommand) -> None:
        self._command = command

    def __call__(
        self,
        server: ZohoServer,
        *flags: str,
        catalog: Json | None = None,
        state: Json | None = None,
        jobs: int = 0,
        **settings: Any,
    ) -> Planned:
        """Make a plan, as JSON by default."""
        before = len(server.jobs)
        flags = flags or ("--format", "json")
        config = server.tap_config(**{**FAST, **settings})
        running = self._command.start(config, *flags, catalog=catalog, state=state)
        planned = Planned(*running.end())
        for secret in server.secrets:
            assert secret not in planned.stdout + planned.stderr
        assert len(server.jobs) == before + jobs
        return planned


@pytest.fixture(scope="module")
def plan_program() -> Iterator[Program]:
    started = Program("tap-zoho-bulk-plan", "tap_zoho_bulk.plan.command:main")
    yield started
    started.close()


@pytest.fixture
def plan(plan_program: Program, tmp_path: Path) -> Iterator[PlanCommand]:
    command = TapCommand(plan_program, tmp_path)
    yield PlanCommand(command)
    command.close()
