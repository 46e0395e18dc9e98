"""Five hundred streams in one run: threads, open files and memory stay bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_zoho_crm import ZohoServer
from tests.resilience.watch import Watch
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from tests.resilience.forks import TapForks

MODULES, JOBS_AT_ONCE = 500, 20
MB = 1 << 20


def test_five_hundred_modules_stay_small(forks: TapForks) -> None:
    organisation = small_organisation({f"Module_{number:03}": 3 for number in range(MODULES)})
    target = UpsertingTarget()
    with ZohoServer(organisation) as server:
        tap = forks.start(
            server.tap_config(**{**QUICK, "max_concurrent_jobs": JOBS_AT_ONCE}),
            catalog=catalog(organisation),
        )
        with Watch(tap.pid) as watch:
            ended = tap.read_lines(lambda line: bool(target.take(line)), seconds=240)

    assert ended.exit_code == 0, ended.stderr[-5000:]
    for stream in organisation.modules:
        assert target.by_id(stream) == organisation.truth(stream), stream
    # One thread for each concurrent job, the main thread, and few others.
    assert watch.most.threads <= JOBS_AT_ONCE + 5
    # Connections, and 2 GB of pages: one that waits is an open file, and counts as at least 16 MiB.
    assert watch.most.files < MODULES / 2
    assert watch.most.rss < 150 * MB
