"""target-duckdb, loading every row as it was sent.

target-duckdb 0.8.0 writes each batch to a CSV file and lets DuckDB guess how that file is
written. Where the guess is wrong, rows are lost or changed without a word: the first row of a
batch is taken for a header, and small batches with quotes or backslashes are read with another
quote or escape character. Here DuckDB is told what the target writes, and guesses nothing.
"""

from __future__ import annotations

from typing import Any

import target_duckdb

# What Python's csv.writer writes with the target's defaults
DIALECT = """AUTO_DETECT false, HEADER false, DELIMITER ',', QUOTE '"', ESCAPE '"'"""


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
    target_duckdb.main()
