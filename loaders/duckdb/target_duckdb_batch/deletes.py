"""Rows whose records are gone: deleted ones, and those of an older version of a full table.

A record that was deleted comes with its key and `_sdc_deleted_at` only; the target would set the
row's other values to null. The target ignores versions.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import target_duckdb
from target_duckdb import add_metadata_columns_to_schema, db_sync

if TYPE_CHECKING:
    from collections.abc import Iterable

DELETED_AT = "_sdc_deleted_at"
VERSION = "_sdc_table_version"


class TableSync(db_sync.DbSync):
    """The target's own table of a stream, with rows that outlive their records."""

    def update_from_temp_table(self, temp_table: str) -> str | None:
        """Return the statement that updates the rows whose records came again.

        Args:
            temp_table: Contains the records.
        """
        keys = db_sync.primary_column_names(self.stream_schema_message)
        columns = [name for name in self.column_names() if name not in keys]
        if not columns:
            return None
        values = assignments(columns, keeps=DELETED_AT in self.flatten_schema)
        return (
            f"UPDATE {self.table_name(self.stream_schema_message['stream'])} AS s "
            f"SET {values} FROM {temp_table} AS t WHERE {self.primary_key_condition('t')}"
        )

    def insert_from_temp_table(self, temp_table: str) -> str:
        """Return the statement that inserts new rows, but none for records that are deleted.

        Args:
            temp_table: Contains the records.
        """
        if not self.stream_schema_message["key_properties"] or (
            DELETED_AT not in self.flatten_schema
        ):
            query: str = super().insert_from_temp_table(temp_table)
            return query
        table = self.table_name(self.stream_schema_message["stream"])
        return (
            f"INSERT INTO {table} ({', '.join(self.column_names())}) SELECT s.* "
            f"FROM {temp_table} AS s ANTI JOIN {table} AS t ON {self.primary_key_condition('t')} "
            f"WHERE s.{DELETED_AT} IS NULL"
        )

    def activate_version(self, version: int) -> None:
        """Remove the rows of older versions, or mark them as deleted.

        Args:
            version: That stays.
        """
        table = self.table_name(self.stream_schema_message["stream"])
        is_old = f"({VERSION} IS NULL OR {VERSION} < {int(version)})"
        if self.hard_delete or DELETED_AT not in self.flatten_schema:
            self.conn.execute(f"DELETE FROM {table} WHERE {is_old}")
            return
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.conn.execute(
            f"UPDATE {table} SET {DELETED_AT} = '{now}' WHERE {is_old} AND {DELETED_AT} IS NULL"
        )


def assignments(columns: Iterable[str], *, keeps: bool) -> str:
    """Return what an update sets: columns of the row `s` to those of the record `t`.

    Args:
        columns: Their quoted names.
        keeps: Whether a row keeps its values if its record is deleted.
    """
    return ", ".join(
        f"{name} = CASE WHEN t.{DELETED_AT} IS NULL THEN t.{name} ELSE s.{name} END"
        if keeps and not name.startswith('"_sdc_')
        else f"{name} = t.{name}"
        for name in columns
    )


def with_metadata(schema: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return a SCHEMA message with the target's own columns, if it is to add them.

    Args:
        schema: The message, which is changed.
        config: The target's.
    """
    if config.get("add_metadata_columns") or config.get("hard_delete"):
        schema = add_metadata_columns_to_schema(schema)
    return schema


def apply() -> None:
    """Make the target keep the values of such rows."""
    target_duckdb.DbSync = TableSync
