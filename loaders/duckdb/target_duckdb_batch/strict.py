"""A connection that loads every row as it was sent, within bounded memory.

target-duckdb 0.8.0 writes each batch to a CSV file and lets DuckDB guess how that file is
written. Where the guess is wrong, rows are lost or changed without a word: the first row of a
batch is taken for a header, and small batches with quotes or backslashes are read with another
quote or escape character. Here DuckDB gets the format that the target writes, and guesses nothing.

On Python 3.10 the target cannot write NUL characters; here it can.

DuckDB keeps updated rows in memory until the database is closed, so that is done now and then.
"""

from __future__ import annotations

import csv
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import target_duckdb
from target_duckdb import db_sync

# What Python's csv.writer writes with the target's defaults
DIALECT = """AUTO_DETECT false, HEADER false, DELIMITER ',', QUOTE '"', ESCAPE '"'"""

# Python 3.10's csv.writer takes NUL for the escape character that it was not given. A surrogate
# stands in no text that can be written, so that nothing is ever escaped with it.
NO_ESCAPE = "\ud800"

MAX_BYTES_KEPT = 100 << 20
MAX_LOCK_SECONDS = 60


class StrictConnection:
    """A DuckDB connection whose COPY states the file's dialect; all else passes through.

    Args:
        config: The target's.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._connection = self._connect()

    def _connect(self) -> Any:
        connection = target_duckdb.duckdb_connect(self._config)
        # DuckDB would write it to stdout, between the states.
        connection.execute("SET enable_progress_bar = false")
        if "checkpoint_threshold" not in self._config.get("settings", {}):
            # At DuckDB's own 16 MB, it would write the end of the table again for every file.
            connection.execute("SET checkpoint_threshold = '256MB'")
        return connection

    def execute(self, query: str | None, *parameters: Any) -> Any:
        """Run a query, with the dialect added when it loads a file."""
        if query is not None and query.startswith("COPY "):
            query = query.replace(" WITH (", f" WITH ({DIALECT}, ")
        return self._connection.execute(query, *parameters)

    def free_memory(self) -> None:
        """Open the database again if DuckDB keeps much of it in memory."""
        path = str(self._config.get("path", self._config.get("filepath")))
        query = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
        ((kept,),) = self.execute(query).fetchall()
        if kept < MAX_BYTES_KEPT or not Path(path).is_file():
            return
        self._connection.close()
        deadline = time.monotonic() + MAX_LOCK_SECONDS
        while time.monotonic() < deadline:
            with suppress(duckdb.IOException):  # Another process reads it at this moment.
                self._connection = self._connect()
                return
            time.sleep(0.1)
        self._connection = self._connect()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def apply() -> None:
    """Make the target write NUL characters, on any Python."""
    db_sync.csv = SimpleNamespace(
        writer=partial(csv.writer, escapechar=NO_ESCAPE), QUOTE_MINIMAL=csv.QUOTE_MINIMAL
    )
