"""meltanolabs-target-postgres, loading BATCH files by COPY."""

from batch_loader.input import Input


def main() -> None:
    """Run the target, with the command line of those built on the Meltano SDK."""
    lines = Input()  # Before the imports, which take seconds.
    from target_postgres_batch.target import run  # noqa: PLC0415

    run(lines)
