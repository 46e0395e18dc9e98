"""A BATCH file into the target's table: read by DuckDB, and upserted in one transaction.

Invariant: the table holds what the target would have stored for the same records as messages.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from target_duckdb import db_sync

from batch_loader.files import LoadError
from target_duckdb_batch.deletes import (
    DELETED_AT,
    VERSION,
    TableSync,
    assignments,
    with_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_STAGED = "staged_batch"
_ROW = "_batch_row"

_UTC_TEXT = "%Y-%m-%dT%H:%M:%S+00:00"


class BatchSync(TableSync):
    """The target's own table of a stream, which also takes files.

    Args:
        connection: To the database.
        config: The target's.
        schema: The SCHEMA message.
    """

    def __init__(self, connection: Any, config: dict[str, Any], schema: dict[str, Any]) -> None:
        super().__init__(connection, config, with_metadata(schema, config))
        self._columns: dict[str, str] = {
            name: db_sync.column_type(each) for name, each in self.flatten_schema.items()
        }
        self._table = self.table_name(schema["stream"])

    def load_file(self, path: Path, encoding: Mapping[str, str], version: int | None) -> None:
        """Load a file's records; of several with one key, the last one wins.

        Args:
            path: The file.
            encoding: As the BATCH message has it.
            version: Of the full table, if it has one.

        Raises:
            LoadError: When a setting does not allow it.
        """
        if self.data_flattening_max_level:
            raise LoadError("`data_flattening_max_level` is for records only, so remove it")
        self._version = "NULL" if version is None else str(int(version))
        self.conn.execute("BEGIN")
        try:
            if encoding["format"] == "parquet":
                self._stage_parquet(path)
            else:
                self._stage_jsonl(path, encoding.get("compression"))
            self._upsert()
            self.conn.execute(f"DROP {self._staged}")
            if self.hard_delete:
                self.delete_rows(self.stream_schema_message["stream"])
            self.conn.execute("COMMIT")
        except BaseException:
            self.conn.execute("ROLLBACK")
            raise

    def _stage_parquet(self, path: Path) -> None:
        """Stage a view of the file: DuckDB reads what each step needs."""
        source = f"read_parquet({_text(path)}, file_row_number = true)"
        described = self.conn.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        types = {name: kind for name, kind, *_ in described}
        self._stage("VIEW", path, types, "file_row_number", source)

    def _stage_jsonl(self, path: Path, compression: str | None) -> None:
        """Stage a table: JSON is slow to read, so it is read once."""
        if self.connection_config.get("number_type", "double") != "double":
            raise LoadError("with `number_type`, only Parquet keeps every digit of numbers")
        # Dates and times as text, as the target casts them.
        types = {
            name: "VARCHAR" if kind in ("timestamp", "time") else kind.upper()
            for name, kind in self._columns.items()
            if name in self.stream_schema_message["schema"]["properties"]
        }
        # Keys of JSON are the same in the same case only.
        columns = ", ".join(f"\"{name}\": '{kind}'" for name, kind in types.items())
        source = (
            f"read_json({_text(path)}, format = 'newline_delimited', columns = {{{columns}}}, "
            f"compression = '{'gzip' if compression == 'gzip' else 'uncompressed'}')"
        )
        self._stage("TABLE", path, types, "row_number() OVER ()", source)

    def _stage(
        self, kind: str, path: Path, types: Mapping[str, str], row: str, source: str
    ) -> None:
        self._staged = f"{kind} {_STAGED}"
        metadata = {**_metadata(path), VERSION: self._version}
        values = []
        for name, target in self._columns.items():
            value = metadata.get(name, "NULL")
            if name in types and name not in metadata:
                value = _stored(_quoted(name), types[name], target)
            values.append(f"CAST({value} AS {target}) AS {_quoted(name)}")
        self.conn.execute(
            f"CREATE TEMP {self._staged} AS "
            f"SELECT {', '.join(values)}, {row} AS {_ROW} FROM {source}"
        )

    def _upsert(self) -> None:
        names = [_quoted(name) for name in self._columns]
        keys = [_quoted(name) for name in self.stream_schema_message["key_properties"]]
        columns = ", ".join(names)
        insert = f"INSERT INTO {self._table} ({columns}) SELECT {columns} FROM {_STAGED}"
        if not keys:
            self.conn.execute(insert)
            return
        key = ", ".join(keys)
        ((rows, distinct),) = self._fetch(
            f"SELECT count(*), count(DISTINCT ({key})) FROM {_STAGED}"
        )
        last = (
            f"{_ROW} IN (SELECT max({_ROW}) FROM {_STAGED} GROUP BY {key})"
            if distinct < rows
            else "true"
        )
        ((known,),) = self._fetch(
            f"SELECT count(*) FROM {self._table} SEMI JOIN {_STAGED} USING ({key})"
        )
        has_deletes = self._has_deletes()
        others = [name for name in names if name not in keys]
        if known and others:
            values = assignments(others, keeps=has_deletes)
            self.conn.execute(
                f"UPDATE {self._table} AS s SET {values} FROM {_STAGED} AS t "
                f"WHERE {self.primary_key_condition('t')} AND {last}"
            )
        if known < distinct:
            new = f"ANTI JOIN {self._table} USING ({key})" if known else ""
            exists = f"{DELETED_AT} IS NULL" if has_deletes else "true"
            self.conn.execute(f"{insert} {new} WHERE {last} AND {exists}")

    def _has_deletes(self) -> bool:
        if DELETED_AT not in self._columns:
            return False
        ((deleted,),) = self._fetch(f"SELECT count({DELETED_AT}) FROM {_STAGED}")
        return bool(deleted)

    def _fetch(self, query: str) -> list[Any]:
        found: list[Any] = self.conn.execute(query).fetchall()
        return found


def _stored(column: str, source: str, target: str) -> str:
    """Return the expression for a column's values that the target's CSV would have."""
    if source == "TIMESTAMP WITH TIME ZONE":
        utc = f"make_timestamp(epoch_us({column}))"
        return utc if target == "timestamp" else f"strftime({utc}, '%Y-%m-%dT%H:%M:%S+00:00')"
    if source.startswith("DECIMAL"):
        text = f"CAST({column} AS VARCHAR)"
        # From a decimal, DuckDB's double may be one next to the nearest.
        return text if target == "double" else f"rtrim(rtrim({text}, '0'), '.')"
    if source.startswith(("STRUCT", "MAP")) or source.endswith("[]"):
        return f"to_json({column})"
    return column


def _metadata(path: Path) -> dict[str, str]:
    """Return the values of the target's own columns; the file's time is that of its records."""
    extracted = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    batched = datetime.now()  # noqa: DTZ005 - as the target has it
    return {
        "_sdc_extracted_at": f"'{extracted:%Y-%m-%d %H:%M:%S.%f}'",
        "_sdc_batched_at": f"'{batched:%Y-%m-%d %H:%M:%S.%f}'",
    }


def _quoted(name: str) -> str:
    """Return an identifier; DuckDB's are the same in upper and lower case."""
    quoted: str = db_sync.safe_column_name(name)
    return quoted


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
