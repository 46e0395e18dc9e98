"""Fixtures for the resilience tests: cheap runs of the tap, and the number of cases."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.resilience.forks import TapForks

if TYPE_CHECKING:
    from tests.support.program import Program

SCALE = int(os.environ.get("TAP_TEST_SCALE", "1"))
"""Factor for the number of cases: 1 for each change, `TAP_TEST_SCALE=10` for a night."""


@pytest.fixture(scope="module")
def forks(program: Program, tmp_path_factory: pytest.TempPathFactory) -> TapForks:
    """Return what starts many runs of the command line, several at once."""
    return TapForks(program, tmp_path_factory.mktemp("forks"))


@pytest.fixture(scope="session")
def scale() -> int:
    """Return the factor for the number of cases."""
    return SCALE
