"""A BATCH file into the target's table: copied into a temporary table, and upserted.

Invariant: the table holds what the target would have stored for the same records as messages.

ADBC's driver, of the Apache Arrow project, encodes Arrow arrays in COPY's binary format in half of
pgpq's CPU time, and in a third of what CSV takes (docs/performance.md). It has a connection of its
own, so the temporary table and the upsert are one transaction of that connection.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import adbc_driver_postgresql.dbapi as adbc
import sqlalchemy
from sqlalchemy.engine import make_url
from target_postgres.connector import PostgresConnector
from target_postgres.sinks import PostgresSink
from typing_extensions import override

from target_postgres_batch.staging import JSON_COLUMN, staged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from target_postgres_batch.staging import Staged

_STAGED = "staged_batch"
_DELETED = "_sdc_deleted_at"


class BatchConnector(PostgresConnector):
    """The target's connector, which leaves signals as they are."""

    def __init__(self, config: dict[str, Any]) -> None:
        handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
        super().__init__(config)  # With an SSH tunnel, it would end the process.
        for each, handler in handlers.items():
            signal.signal(each, handler)


class BatchSink(PostgresSink):
    """The target's table of a stream, which also takes files."""

    connector_class = BatchConnector

    @override
    def upsert(self, **tables: Any) -> int | None:
        """Upsert records; the row of a deleted one, if there is one, keeps its other values."""
        new, old = tables["from_table"], tables["to_table"]
        if self.key_properties and _DELETED in new.columns:
            kept = {
                new.columns[name]: old.columns[name]
                for name in self.schema["properties"]
                if name not in self.key_properties and not name.startswith("_sdc_")
            }
            same = [new.columns[key] == old.columns[key] for key in self.key_properties]
            is_deleted = new.columns[_DELETED].is_not(None)
            has_row = sqlalchemy.select(old).where(*same).exists()
            statements: list[sqlalchemy.Executable] = [
                sqlalchemy.delete(new).where(is_deleted, ~has_row)
            ]
            if kept:
                statements.append(sqlalchemy.update(new).where(*same, is_deleted).values(kept))
            for statement in statements:
                tables["connection"].execute(statement)
        rows: int | None = super().upsert(**tables)
        return rows

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        super().process_batch(context)
        if any(record.get(_DELETED) for record in context["records"]):
            with self.connector._connect() as connection, connection.begin():
                for statement in self._hard_deletes():
                    connection.exec_driver_sql(statement)

    def load_file(self, path: Path, encoding: Mapping[str, str], version: int | None) -> None:
        """Load a file's records; of several with one key, the last one wins.

        Args:
            path: The file.
            encoding: As the BATCH message has it.
            version: Of the full table, if it has one.
        """
        # On a thread of its own: on the main one, ADBC makes SIGINT cancel what it does.
        with ThreadPoolExecutor(1) as thread:
            rows = thread.submit(self._load, path, encoding, version).result()
        self.record_counter_metric.increment(rows)

    def _load(self, path: Path, encoding: Mapping[str, str], version: int | None) -> int:
        url = make_url(self.connector.sqlalchemy_url).set(drivername="postgresql")
        with (
            staged(
                path,
                encoding,
                self.original_schema["properties"],
                replace_nul=self.connector.sanitize_null_text_characters,
            ) as file,
            adbc.connect(url.render_as_string(hide_password=False)) as connection,
            connection.cursor() as cursor,
        ):
            # Instants become what columns without a zone are to hold.
            cursor.execute("SET LOCAL TIME ZONE 'UTC'")
            cursor.adbc_ingest(_STAGED, file.reader, mode="create", temporary=True)
            for statement in self._upsert(path, file, version):
                cursor.execute(statement)
            rows: int = max(cursor.rowcount, 0)
            if _DELETED in file.simple | file.nested:
                for statement in self._hard_deletes():
                    cursor.execute(statement)
            connection.commit()
        return rows

    def _upsert(self, path: Path, file: Staged, version: int | None) -> list[str]:
        types = self._column_types()
        metadata = self._metadata(path, version)
        source = _STAGED
        if file.nested:
            record = ", ".join(
                f"{_quoted(name)} {_json_type(types[name])}"
                for name in sorted(file.nested & types.keys())
            )
            source += f", json_to_record({JSON_COLUMN}::json) AS record({record})"

        def value(name: str) -> str:
            if name in file.simple:
                return f"CAST({_STAGED}.{_quoted(name)} AS {types[name]})"
            if name in file.nested:
                return f"CAST(record.{_quoted(name)} AS {types[name]})"
            return f"CAST({metadata.get(name, 'NULL')} AS {types[name]})"

        names = [*self.schema["properties"]]
        columns = ", ".join(map(_quoted, names))
        values = ", ".join(map(value, names))
        insert = f"INSERT INTO {self._table} ({columns}) SELECT {values} FROM {source}"
        if not self.key_properties:
            return [insert]

        if _DELETED in file.simple | file.nested:
            keys = " AND ".join(
                f"t.{_quoted(each)} = {value(each)}" for each in self.key_properties
            )
            # A record that is deleted gets no new row.
            insert += (
                f" WHERE {value(_DELETED)} IS NULL "
                f"OR EXISTS (SELECT FROM {self._table} AS t WHERE {keys})"
            )

        def key(row: str, name: str) -> str:
            if name in file.simple:
                return f"{row}.{_quoted(name)}"
            return f"({row}.{JSON_COLUMN}::json ->> {_text(name)})"

        same = " AND ".join(f"{key('a', each)} = {key('b', each)}" for each in self.key_properties)
        keeps = _DELETED in file.simple | file.nested
        updates = ", ".join(
            f"{_quoted(name)} = {self._updated(name, keeps=keeps)}"
            for name in names
            if name not in self.key_properties
        )
        conflict = ", ".join(map(_quoted, self.key_properties))
        action = f"UPDATE SET {updates}" if updates else "NOTHING"
        return [
            # A temporary table's rows are where COPY put them, one after another.
            f"DELETE FROM {_STAGED} AS a USING {_STAGED} AS b WHERE {same} AND a.ctid < b.ctid",
            f"{insert} ON CONFLICT ({conflict}) DO {action}",
        ]

    def _updated(self, name: str, *, keeps: bool) -> str:
        """Return what a row has after an update; a deleted one keeps all that is not metadata."""
        new = f"EXCLUDED.{_quoted(name)}"
        if not keeps or name.startswith("_sdc_"):
            return new
        old = f"{self._table}.{_quoted(name)}"
        return f"CASE WHEN EXCLUDED.{_quoted(_DELETED)} IS NULL THEN {new} ELSE {old} END"

    def _metadata(self, path: Path, version: int | None) -> dict[str, str]:
        """Return the values of the SDK's columns; the file's time is that of its records."""
        if not self.include_sdc_metadata_properties:
            return {}
        now = _text(datetime.now(timezone.utc).isoformat())
        extracted = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        return {
            "_sdc_extracted_at": _text(extracted.isoformat()),
            "_sdc_received_at": now,
            "_sdc_batched_at": now,
            "_sdc_sequence": str(round(time.time() * 1000)),
            "_sdc_table_version": "NULL" if version is None else str(int(version)),
            "_sdc_sync_started_at": str(self.sync_started_at),
        }

    def _hard_deletes(self) -> list[str]:
        """Return the statement that removes rows marked as deleted, if the user wants that."""
        if not self.config["hard_delete"]:
            return []
        return [f"DELETE FROM {self._table} WHERE {_quoted(_DELETED)} IS NOT NULL"]

    def _column_types(self) -> dict[str, str]:
        with self.connector._connect() as connection:
            columns = self.connector.get_table_columns(
                schema_name=self.schema_name, table_name=self.table_name, connection=connection
            )
            return {
                name: column.type.compile(dialect=connection.dialect)
                for name, column in columns.items()
            }

    @property
    def _table(self) -> str:
        names = [self.schema_name, self.table_name]
        return ".".join(_quoted(name) for name in names if name)


def _json_type(column_type: str) -> str:
    """Return the type that reads a property's JSON: an instant's zone must count."""
    return "timestamptz" if column_type == "TIMESTAMP WITHOUT TIME ZONE" else column_type


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
