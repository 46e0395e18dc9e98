"""What waiting costs: wall time of jobs at Zoho and of discovery, as ratios."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks import processes
from benchmarks.figures import Figure
from local_zoho_crm import ZohoServer
from tests.support.organisations import catalog, small_organisation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.figures import Scale

_LATENCY_SECONDS = 0.1


def side_by_side_figures(scale: Scale, say: Callable[[str], None]) -> Iterator[Figure]:
    """Measure the wall time of jobs at Zoho, and of discovery."""
    page_size = 20
    # One chain of two jobs among eleven of one.
    sizes = {f"Module_{number}": page_size for number in range(12)}
    sizes["Module_5"] = page_size * 2
    jobs = len(sizes) + 1
    organisation = small_organisation(sizes)
    longest = small_organisation({"Module_5": sizes["Module_5"]})
    settings = {
        "max_concurrent_jobs": 12,
        "downloads_per_minute": 10_000,
        "poll_interval_seconds": min(1.0, scale.job_seconds),
    }

    def wall(parallel_jobs: int | None, which: Any) -> float:
        with ZohoServer(
            which,
            page_size=page_size,
            job_seconds=scale.job_seconds,
            parallel_jobs=parallel_jobs,
        ) as server:
            return processes.tap(server.tap_config(**settings), catalog(which)).wall

    parallel, in_turn, discovery = [], [], []
    found = small_organisation(dict.fromkeys(map("Module_{}".format, range(scale.modules)), 1))
    for number in range(1, scale.rounds + 1):
        say(f"jobs and discovery, round {number} of {scale.rounds}")
        parallel.append(wall(None, organisation) / wall(None, longest))
        in_turn.append(wall(1, organisation) / (jobs * scale.job_seconds))
        with ZohoServer(found, latency=_LATENCY_SECONDS) as server:
            usage = processes.tap(server.tap_config(), None)
        discovery.append(usage.wall / (scale.modules * _LATENCY_SECONDS))
    yield Figure(
        "12 modules, jobs in parallel ÷ the longest chain", statistics.median(parallel), 1.4
    )
    yield Figure(
        "12 modules, jobs one at a time ÷ Zoho's own time", statistics.median(in_turn), 1.15
    )
    yield Figure(
        f"discovery of {scale.modules} modules ÷ their requests one at a time",
        statistics.median(discovery),
        0.25,
    )
