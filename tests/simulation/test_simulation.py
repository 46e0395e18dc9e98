"""Stories in the gate: the same ones each time, and a few new ones."""

from __future__ import annotations

import gc
import random
from typing import TYPE_CHECKING

import pytest

from tests.simulation.story import Story, StoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN = range(24)
NEW = 6

# A run that is killed leaves its files to the end of its process, which continues here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True, scope="module")
def _closed_files() -> Iterator[None]:
    yield
    gc.collect()


def play(seed: int) -> None:
    try:
        Story(seed).play()
    except StoryError as error:
        print("\n".join(error.log))
        raise


@pytest.mark.parametrize("seed", KNOWN)
def test_a_known_story_ends_with_the_truth(seed: int) -> None:
    play(seed)


def test_new_stories_end_with_the_truth() -> None:
    for seed in random.SystemRandom().sample(range(10**9), NEW):
        play(seed)
