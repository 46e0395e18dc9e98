"""The tap's messages as the target gets them: without BATCH, which is loaded here.

Invariant: a STATE goes out only after everything before it was committed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import target_duckdb

from batch_loader.files import LoadError, batch_file
from target_duckdb_batch.batch import BatchSync

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from target_duckdb_batch.strict import StrictConnection

Message = dict[str, Any]

_RECORD = ('{"type":"RECORD"', '{"type": "RECORD"')


class Messages:
    """Yields the messages that the target handles itself.

    Args:
        lines: The tap's messages.
        connection: To the database.
        config: The target's.
    """

    def __init__(
        self, lines: Iterable[str], connection: StrictConnection, config: dict[str, Any]
    ) -> None:
        self._lines = lines
        self._connection = connection
        self._config = config
        self._schemas: dict[str, str] = {}
        self._has_records = False
        self._state: Any = None

    def __iter__(self) -> Iterator[str]:
        """Yield a line after another; meanwhile the target handles it."""
        for line in self._lines:
            kind = "RECORD" if line.startswith(_RECORD) else json.loads(line).get("type")
            if kind == "BATCH":
                message = json.loads(line)
                # The target then stores the records that it has, which are older.
                yield from self._schema_again(message["stream"])
                self._load(message)
                continue
            if kind == "STATE":
                self._state = json.loads(line)["value"]
                if not self._has_records:
                    target_duckdb.emit_state(self._state)
                    continue
            elif kind == "SCHEMA":
                self._schemas[json.loads(line)["stream"]] = line
            elif kind == "RECORD":
                self._has_records = True
            yield line

    def finish(self) -> None:
        """Hand on the last STATE: when the target has ended, everything is stored."""
        if self._has_records:
            target_duckdb.emit_state(self._state)

    def _schema_again(self, stream: str) -> Iterator[str]:
        if stream not in self._schemas:
            raise LoadError(f"{stream}: a BATCH came before its SCHEMA.")
        if self._has_records:
            yield self._schemas[stream]

    def _load(self, message: Message) -> None:
        stream, encoding = message["stream"], message["encoding"]
        schema = json.loads(self._schemas[stream])
        sync = BatchSync(self._connection, self._config, schema)
        for url in message["manifest"]:
            with batch_file(
                stream,
                url,
                file_format=encoding["format"],
                keep=self._config.get("keep_batch_files", False),
            ) as path:
                sync.load_file(path, encoding)
            self._connection.free_memory()
