"""target-duckdb, loading every row as it was sent, and BATCH files with DuckDB itself."""

from __future__ import annotations

from batch_loader.input import Input


def main() -> None:
    """Run the target: `--config FILE`, and the tap's messages on stdin."""
    lines = Input()  # Before the imports, which take longer.
    from target_duckdb_batch.target import run  # noqa: PLC0415

    run(lines)
