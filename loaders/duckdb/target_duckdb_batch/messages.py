"""The tap's messages as the target gets them: without what is done here, BATCH and versions.

Invariant: a STATE goes out only after everything before it was committed.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import target_duckdb

from batch_loader.files import LoadError, batch_file
from target_duckdb_batch.batch import BatchSync
from target_duckdb_batch.deletes import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_duckdb_batch.strict import StrictConnection

Message = dict[str, Any]

_LOADED_HERE = frozenset({"BATCH", "ACTIVATE_VERSION"})


class Messages:
    """Yields the messages that the target handles itself, parsed.

    Args:
        lines: The tap's messages.
        connection: To the database.
        config: The target's.
        parse_float: Parses a number.
    """

    def __init__(
        self,
        lines: Iterable[str],
        connection: StrictConnection,
        config: dict[str, Any],
        *,
        parse_float: Callable[[str], float],
    ) -> None:
        self._messages = (json.loads(line, parse_float=parse_float) for line in lines)
        self._connection = connection
        self._config = config
        self._schemas: dict[str, Message] = {}
        self._versioned: set[str] = set()
        self._has_records = False
        self._state: Any = None

    def __iter__(self) -> Iterator[Message]:
        """Yield a message after another; meanwhile the target handles it."""
        for message in self._messages:
            kind, stream = message.get("type"), message.get("stream")
            if kind == "STATE":
                self._state = message["value"]
                if not self._has_records:
                    target_duckdb.emit_state(self._state)
                    continue
            elif kind == "SCHEMA":
                self._schemas[stream] = message
                yield self._schema(stream)
                continue
            elif message.get("version") is not None and stream not in self._versioned:
                self._versioned.add(stream)
                yield self._schema(stream)  # The target adds the column.
            if kind == "RECORD":
                self._has_records = True
                if stream in self._versioned:
                    message["record"][VERSION] = message.get("version")
            elif kind in _LOADED_HERE:
                # The target then stores the records that it has, which are older.
                yield self._schema(stream)
                self._load(message)
                continue
            yield message

    def finish(self) -> None:
        """Hand on the last STATE: when the target has ended, everything is stored."""
        if self._has_records:
            target_duckdb.emit_state(self._state)

    def _schema(self, stream: str) -> Message:
        """Return a stream's SCHEMA, with a column for its version if it has one."""
        if stream not in self._schemas:
            raise LoadError(f"{stream}: a BATCH came before its SCHEMA.")
        schema = deepcopy(self._schemas[stream])  # The target changes it.
        if stream in self._versioned:
            schema["schema"]["properties"][VERSION] = {"type": ["integer", "null"]}
        return schema

    def _load(self, message: Message) -> None:
        """Load files, or let a version replace the others."""
        stream, version = message["stream"], message.get("version")
        sync = BatchSync(self._connection, self._config, self._schema(stream))
        if version is not None and message["type"] == "ACTIVATE_VERSION":
            sync.activate_version(version)
        for url in message.get("manifest", ()):
            with batch_file(
                stream,
                url,
                file_format=message["encoding"]["format"],
                keep=self._config.get("keep_batch_files", False),
            ) as path:
                sync.load_file(path, message["encoding"], version)
            self._connection.free_memory()
