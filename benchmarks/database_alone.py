"""What a database takes to read the CSV itself, into a table without a key.

`python -m benchmarks.database_alone duckdb CSV FILE`, or `postgres CSV URI`.
"""

import sys
from pathlib import Path

import duckdb
import psycopg

_TYPES = {
    "Count": "bigint",
    "Amount": "numeric",
    "Share": "numeric",
    "Is": "boolean",
    "Day": "date",
    "Created": "timestamptz",
    "Modified": "timestamptz",
    "Last": "timestamptz",
}
"""Of PostgreSQL's columns, by the beginnings of their names; all others are text."""


def main() -> None:
    """Read."""
    kind, csv, target = sys.argv[1:]
    if kind == "duckdb":
        Path(target).unlink(missing_ok=True)
        with duckdb.connect(target) as connection:
            connection.execute("CREATE TABLE page AS SELECT * FROM read_csv(?)", [csv])
        return
    with Path(csv).open("rb") as file, psycopg.connect(target) as database:
        names = file.readline().decode().strip().split(",")
        columns = ", ".join(f'"{name}" {_TYPES.get(name.split("_")[0], "text")}' for name in names)
        database.execute(f"DROP TABLE IF EXISTS page; CREATE TABLE page ({columns})".encode())
        with database.cursor().copy("COPY page FROM STDIN (FORMAT csv)") as copy:
            while chunk := file.read(1 << 18):
                copy.write(chunk)


if __name__ == "__main__":
    main()
