"""Plays stories: `python -m tests.simulation 17`, `0-999` or `3,5,10-20`."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.story import Story, StoryError


def play(seed: int) -> tuple[int, int, str, list[str]]:
    """Play a story; return its seed, its runs, and what went wrong with its log, if it did."""
    story = Story(seed)
    try:
        story.play()
    except StoryError as error:
        return seed, story.runs, str(error), error.log
    return seed, story.runs, "", []


def seeds(text: str) -> list[int]:
    """Return the seeds of a text such as `3,5,10-20`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> None:
    """Play the stories of the arguments' seeds; exit non-zero if one went wrong."""
    wanted = [seed for text in sys.argv[1:] for seed in seeds(text)]
    began, runs, failed = time.monotonic(), 0, []
    with ProcessPoolExecutor(2) as pool:
        for seed, count, problem, log in pool.map(play, wanted):
            runs += count
            if problem:
                failed.append(seed)
                if len(wanted) == 1:
                    print("\n".join(log))
                print(problem, flush=True)
    seconds = time.monotonic() - began
    print(f"{len(wanted)} stories, {runs} runs in {seconds:.0f} s; failed: {failed or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
