"""A target that upserts by key, and confirms a STATE once all messages before it are stored."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

Json = dict[str, Any]


class UpsertingTarget:
    """The minimum that a correct target does, over any number of runs of the tap."""

    def __init__(self) -> None:
        self.state: Json | None = None
        self.states = 0
        self._keys: dict[str, list[str]] = {}
        self._tables: dict[str, dict[tuple[str, ...], tuple[int | None, Json]]] = {}

    def take(self, line: bytes) -> str:
        """Store the message of one line, and return its type."""
        return self.store(json.loads(line, parse_float=Decimal))

    def store(self, message: Json) -> str:
        """Store a message, and return its type.

        Args:
            message: A Singer message. A BATCH has its records under `records` instead of in files.
        """
        kind = message["type"]
        match kind:
            case "SCHEMA":
                self._keys[message["stream"]] = message["key_properties"]
                self._tables.setdefault(message["stream"], {})
            case "RECORD":
                self._upsert(message, message["record"])
            case "BATCH":
                for record in message["records"]:
                    self._upsert(message, record)
            case "ACTIVATE_VERSION":
                self._activate(message["stream"], message["version"])
            case "STATE":
                self.state = message["value"]
                self.states += 1
            case _:
                raise AssertionError(f"no Singer message: {message}")
        return str(kind)

    def _upsert(self, message: Json, record: Json) -> None:
        stream = message["stream"]
        key = tuple(record[name] for name in self._keys[stream])
        self._tables[stream][key] = (message.get("version"), record)

    def _activate(self, stream: str, version: int) -> None:
        """Remove the rows of other versions, as targets with hard deletes do."""
        table = self._tables[stream]
        self._tables[stream] = {key: row for key, row in table.items() if row[0] == version}

    @property
    def streams(self) -> set[str]:
        """Return the streams that sent a schema."""
        return set(self._keys)

    def preload(self, stream: str, record: Json, *, version: int | None = None) -> None:
        """Store a row of an earlier run, with `id` as its key."""
        self._keys.setdefault(stream, ["id"])
        table = self._tables.setdefault(stream, {})
        table[record["id"],] = (version, record)

    def rows(self, stream: str) -> list[Json]:
        """Return the rows of a table."""
        return [record for _, record in self._tables.get(stream, {}).values()]

    def by_key(self, stream: str) -> dict[tuple[Any, ...], Json]:
        """Return the rows of a table by key."""
        return {key: record for key, (_, record) in self._tables.get(stream, {}).items()}

    def by_id(self, stream: str) -> dict[str, Json]:
        """Return the rows of a table by `id`."""
        return {record["id"]: record for record in self.rows(stream)}
