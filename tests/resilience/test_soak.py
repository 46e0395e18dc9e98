"""A large organisation over a bad connection arrives completely, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import RandomFaults, ZohoServer
from tests.resilience.watch import Watch
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from tests.resilience.forks import TapForks

MODULES, PAGES, PAGE_SIZE = 200, 50, 10
LARGE = 2
JOBS_AT_ONCE = 10
MB = 1 << 20
PAGES_ON_DISK, PAGE_BYTES = 20, 16 * MB  # what a small page counts as


@pytest.mark.timeout(3600)
def test_two_hundred_modules_over_a_bad_line(forks: TapForks, scale: int) -> None:
    """Some modules have fifty pages (all with TAP_TEST_SCALE=100); one request in ten fails."""
    large = min(LARGE * scale, MODULES)
    organisation = small_organisation(
        {
            f"Module_{number:03}": PAGE_SIZE * PAGES if number % (MODULES // large) == 0 else 7
            for number in range(MODULES)
        }
    )
    target = UpsertingTarget()
    with ZohoServer(organisation, page_size=PAGE_SIZE, tokens_per_ten_minutes=None) as server:
        server.faults.add(RandomFaults(seed=1, rate=0.1))
        settings = {
            "max_retries": 8,
            "max_concurrent_jobs": JOBS_AT_ONCE,
            "max_spool_bytes": PAGES_ON_DISK * PAGE_BYTES,
        }
        tap = forks.start(
            server.tap_config(**{**QUICK, **settings}),
            catalog=catalog(organisation, deleted=True),
        )
        with Watch(tap.pid) as watch:
            ended = tap.read_lines(lambda line: bool(target.take(line)), seconds=1800)

        assert ended.exit_code == 0, ended.stderr[-5000:]
        for stream in organisation.modules:
            assert target.by_id(stream) == organisation.truth(stream), stream
        jobs = len(server.jobs)
        asked = len(server.requests)
    retries = ended.stderr.count("Attempt ")
    early = watch.samples[len(watch.samples) // 4]
    print(
        f"\n{MODULES} modules, {jobs} jobs, {asked} requests, {retries} retries; "
        f"at most {watch.most.rss / MB:.0f} MB (after a quarter {early.rss / MB:.0f} MB), "
        f"{watch.most.files} open files, {watch.most.threads} threads"
    )
    assert jobs >= large * PAGES + (MODULES - large)
    assert retries > asked / 20
    assert watch.most.rss < 150 * MB
    assert watch.most.rss - early.rss < 15 * MB
    # The pages on disk, and one more for each chain; a connection for each request, and some more.
    assert watch.most.files < PAGES_ON_DISK + 4 * JOBS_AT_ONCE + 20
    assert watch.most.threads < 2 * JOBS_AT_ONCE + 5
