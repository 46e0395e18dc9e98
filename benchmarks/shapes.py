"""Shapes of an organisation, and the least time in which any tap could sync each.

Invariant: nothing here comes from the tap, except what decoding takes, which one stream shows. The
start of the process comes on top: see `shape_table`.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.server import Module

SMALL_ROWS = 50
LARGE_ROWS = 20_000


@dataclass(frozen=True)
class Chains:
    """Modules of the same size.

    Args:
        modules: How many.
        pages: Of each.
        job_seconds: How long Zoho takes for a page.
    """

    modules: int
    pages: int
    job_seconds: float

    def __str__(self) -> str:
        """Return the modules as the table has them."""
        return f"{self.modules} x {self.pages} x {self.job_seconds:g} s"


@dataclass(frozen=True)
class Shape:
    """An organisation, Zoho's limits, and a target.

    Args:
        chains: The modules, in the catalog's order.
        rows: Records of a page.
        pace: Records that the target stores in a second; None if it takes no time.
        parallel: Whether Zoho runs jobs at the same time, or one after another.
        max_concurrent_jobs: The tap's setting.
        downloads_per_minute: The tap's setting; None for no limit.
        max_spool_pages: The tap's setting `max_spool_bytes`, in pages; None for its default.
        batch: Whether the tap writes BATCH files.
    """

    chains: tuple[Chains, ...]
    rows: int = SMALL_ROWS
    pace: float | None = None
    parallel: bool = True
    max_concurrent_jobs: int = 10
    downloads_per_minute: int | None = None
    max_spool_pages: int | None = None
    batch: bool = False

    @property
    def modules(self) -> list[Module]:
        """The modules, with names."""
        each = [chains for chains in self.chains for _ in range(chains.modules)]
        return [
            Module(f"Module_{number}", chains.pages, chains.job_seconds)
            for number, chains in enumerate(each, 1)
        ]

    @property
    def pages(self) -> int:
        """Number of all pages."""
        return sum(module.pages for module in self.modules)

    def least(self, decoding_seconds: float) -> tuple[float, str]:
        """Return the least possible seconds, and what takes them.

        A page goes to the target after its job: what the last page of all takes there comes after
        the longest chain, and after the last of jobs that run one after another.

        Args:
            decoding_seconds: What the tap takes for a record, from its page to its message.
        """
        target_seconds = 0.0 if self.pace is None else 1 / self.pace
        last = self.rows * max(decoding_seconds, target_seconds)
        records = self.pages * self.rows
        jobs = [module.pages * module.job_seconds for module in self.modules]
        at_once = self.max_concurrent_jobs if self.parallel else 1
        waves = 0
        if self.downloads_per_minute is not None:
            waves = (self.pages - 1) // self.downloads_per_minute
        return max(
            (max(jobs) + last, "longest chain"),
            (sum(jobs) / at_once + last, "jobs"),
            (records * decoding_seconds, "decoding"),
            (records * target_seconds, "target"),
            (waves * 60.0 + last, "downloads"),
        )


SHAPES = (
    # Many pages, with jobs that take long
    Shape((Chains(6, 6, 2.0),)),
    # A long job among quick pages that keep the target busy
    Shape((Chains(1, 1, 10.0), Chains(3, 3, 0.2)), pace=50),
    # As many modules as jobs run at once
    Shape((Chains(10, 3, 2.0),)),
    # One large module after many small ones
    Shape((Chains(19, 1, 1.5), Chains(1, 6, 1.5)), pace=150, max_concurrent_jobs=20),
    # One alone
    Shape((Chains(1, 6, 1.5),)),
    # More modules than jobs run at once
    Shape((Chains(30, 1, 3.0),)),
    # A slow target
    Shape((Chains(4, 3, 0.2),), pace=60),
    # One job after another at Zoho
    Shape((Chains(5, 3, 0.8),), parallel=False),
    # More pages than can be downloaded in a minute
    Shape((Chains(4, 3, 1.0),), downloads_per_minute=6),
    # Files
    Shape((Chains(6, 4, 2.0),), batch=True),
    # Large pages, and nothing to wait for
    Shape((Chains(4, 4, 0.2),), rows=LARGE_ROWS),
    # Large pages that wait on disk for the target
    Shape((Chains(4, 4, 0.2),), rows=LARGE_ROWS, pace=30_000, max_spool_pages=2),
)
"""What is measured; a comment says what each is about."""

QUICK_SHAPES = (
    Shape(
        (Chains(1, 1, 0.1), Chains(2, 2, 0.05)),
        rows=500,
        pace=10_000,
        parallel=False,
        max_spool_pages=1,
    ),
    Shape((Chains(2, 2, 0.05),), rows=500, batch=True),
)
"""Shapes that show that the measurement works."""
