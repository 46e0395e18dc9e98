"""meltanolabs-target-postgres, loading BATCH files by COPY."""

import gc

from batch_loader.input import Input


def main() -> None:
    """Run the target, with the command line of those built on the Meltano SDK."""
    lines = Input()  # Before the imports, which take longer.
    from target_postgres_batch.target import run  # noqa: PLC0415

    # The search for cycles need not visit what the Singer SDK and SQLAlchemy keep for good.
    gc.freeze()
    run(lines)
