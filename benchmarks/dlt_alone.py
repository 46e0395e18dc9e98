"""What dlt takes for the same CSV: read by Arrow, merged by key into DuckDB.

`python dlt_alone.py CSV FOLDER`, in an environment with `dlt[duckdb]` and pyarrow; `--prepare`
only imports them.
"""

import sys
from collections.abc import Iterator
from typing import Any

import dlt
import pyarrow.csv


def main() -> None:
    """Load."""
    csv, folder = sys.argv[1:3]
    if "--prepare" in sys.argv:
        return

    def batches() -> Iterator[Any]:
        options = pyarrow.csv.ParseOptions(newlines_in_values=True)
        with pyarrow.csv.open_csv(csv, parse_options=options) as reader:
            yield from reader

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=folder,
        destination=dlt.destinations.duckdb(f"{folder}/dlt.duckdb"),
        dataset_name="zoho_crm",
    )
    pipeline.run(
        dlt.resource(batches, name="leads", write_disposition="merge", primary_key="Id"),
        loader_file_format="parquet",
    )


if __name__ == "__main__":
    main()
