"""target-duckdb, loading every row as it was sent.

target-duckdb 0.8.0 writes each batch to a CSV file and lets DuckDB guess how that file is
written. Where the guess is wrong, rows are lost or changed without a word: the first row of a
batch is taken for a header, and small batches with quotes or backslashes are read with another
quote or escape character. Here DuckDB gets the format that the target writes, and guesses nothing.

On Python 3.10 the target cannot write NUL characters; here it can.
"""

from __future__ import annotations

import csv
from functools import partial
from types import SimpleNamespace
from typing import Any

import target_duckdb
from target_duckdb import db_sync

# What Python's csv.writer writes with the target's defaults
DIALECT = """AUTO_DETECT false, HEADER false, DELIMITER ',', QUOTE '"', ESCAPE '"'"""

# Python 3.10's csv.writer takes NUL for the escape character that it was not given. A surrogate
# stands in no text that can be written, so that nothing is ever escaped with it.
NO_ESCAPE = "\ud800"


class StrictConnection:
    """A DuckDB connection whose COPY states the file's dialect; all else passes through."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, query: str | None, *parameters: Any) -> Any:
        """Run a query, with the dialect added when it loads a file."""
        if query is not None and query.startswith("COPY "):
            query = query.replace(" WITH (", f" WITH ({DIALECT}, ")
        return self._connection.execute(query, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def main() -> None:
    """Run target-duckdb over strict connections."""
    connect = target_duckdb.duckdb_connect
    target_duckdb.duckdb_connect = lambda config: StrictConnection(connect(config))
    db_sync.csv = SimpleNamespace(
        writer=partial(csv.writer, escapechar=NO_ESCAPE), QUOTE_MINIMAL=csv.QUOTE_MINIMAL
    )
    target_duckdb.main()
