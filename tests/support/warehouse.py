"""The rows of a warehouse, compared with the records of the Zoho organisation, value by value.

There is one comparison, and one reader for each warehouse. A reader's `storage` states the type of
the column for each kind of value, and what the warehouse stores for a value that the tap emits. The
comparison requires equality, without tolerance: every limit of a target is stated in `storage`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import duckdb
import psycopg
from psycopg import sql
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from local_zoho_crm import Field, Module, Organisation

SCHEMA = "zoho_crm"


@dataclass(frozen=True)
class Storage:
    """How a warehouse stores one kind of value: the type of the column, and the stored value."""

    column_type: str
    convert: Callable[[Any], Any]


@dataclass(frozen=True)
class Table:
    """The table of a stream: types by column, and the rows."""

    columns: dict[str, str]
    rows: list[dict[str, Any]]


def _instant(text: str) -> datetime:
    """Return the date-time in UTC and without a zone, as columns without a zone store it."""
    return datetime.fromisoformat(text).astimezone(timezone.utc).replace(tzinfo=None)


class Warehouse(ABC):
    """Reads what a target has loaded.

    Attributes:
        storage: How values are stored, by the kind of the field.
    """

    storage: ClassVar[Mapping[str, Storage]]

    @abstractmethod
    def name(self, identifier: str) -> str:
        """Return the name of the table for a stream, or of the column for a property."""

    @abstractmethod
    def table(self, stream: str) -> Table | None:
        """Return the table of a stream, or None if there is none."""

    def loaded(self, stream: str, *key: str) -> dict[tuple[str, ...], datetime]:
        """Return when each row of a stream was last loaded, by key."""
        table = self.table(stream)
        return {
            tuple(row[column] for column in key): row["_sdc_batched_at"]
            for row in (table.rows if table else [])
        }


class DuckDBWarehouse(Warehouse):
    """A DuckDB file that target-duckdb loaded, as `meltano.yml` configures it."""

    storage: ClassVar = {
        "text": Storage("VARCHAR", str),
        "integer": Storage("HUGEINT", int),
        # The target stores `number` as DOUBLE: a longer number is rounded to the nearest double.
        "number": Storage("DOUBLE", float),
        "boolean": Storage("BOOLEAN", bool),
        # The target stores dates as text.
        "date": Storage("VARCHAR", str),
        "datetime": Storage("TIMESTAMP", _instant),
        "array": Storage("JSON", list),
    }

    def __init__(self, file: Path) -> None:
        self._file = file

    @override
    def name(self, identifier: str) -> str:
        return identifier.lower()

    @override
    def table(self, stream: str) -> Table | None:
        with duckdb.connect(str(self._file), read_only=True) as connection:
            columns = dict(
                connection.execute(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = ? AND table_name = ?",
                    [SCHEMA, self.name(stream)],
                ).fetchall()
            )
            if not columns:
                return None
            found = connection.execute(f'SELECT * FROM {SCHEMA}."{self.name(stream)}"')  # noqa: S608
            # JSON may be written in different ways.
            read = [
                (column[0], json.loads if columns[column[0]] == "JSON" else None)
                for column in found.description or []
            ]
            return Table(
                columns,
                [
                    {
                        name: parse(value) if parse and value is not None else value
                        for (name, parse), value in zip(read, row, strict=True)
                    }
                    for row in found.fetchall()
                ],
            )


class PostgresWarehouse(Warehouse):
    """A PostgreSQL database that target-postgres loaded, as `meltano.yml` configures it."""

    storage: ClassVar = {
        # PostgreSQL has no NUL in text: the target stores U+FFFD instead.
        "text": Storage("text", lambda text: text.replace("\0", "\ufffd")),
        "integer": Storage("bigint", int),
        "number": Storage("numeric", Decimal),
        "boolean": Storage("boolean", bool),
        "date": Storage("date", date.fromisoformat),
        "datetime": Storage("timestamp without time zone", _instant),
        "array": Storage("ARRAY", lambda texts: [text.replace("\0", "\ufffd") for text in texts]),
    }

    def __init__(self, uri: str, schema: str = SCHEMA) -> None:
        self._uri = uri
        self._schema = schema

    @override
    def name(self, identifier: str) -> str:
        return identifier

    @override
    def table(self, stream: str) -> Table | None:
        with psycopg.connect(self._uri) as connection:
            columns: dict[str, str] = dict(
                connection.execute(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = %s AND table_name = %s",
                    [self._schema, stream],
                ).fetchall()
            )
            if not columns:
                return None
            found = connection.execute(
                sql.SQL("SELECT * FROM {}").format(sql.Identifier(self._schema, stream))
            )
            names = [column.name for column in found.description or []]
            return Table(columns, [dict(zip(names, row, strict=True)) for row in found])


@dataclass
class Comparison:
    """The comparison of one module with its table.

    Attributes:
        rows: Live rows of the table: those that `deleted_records` does not remove.
        deleted: Rows that it removes.
        values: Values that were compared.
        differences: A sentence for each difference.
    """

    module: str
    rows: int = 0
    deleted: int = 0
    columns: int = 0
    values: int = 0
    differences: list[str] = field(default_factory=list)


def compare(
    warehouse: Warehouse,
    organisation: Organisation,
    *,
    modules: Collection[str] | None = None,
    multiselect_separator: str | None = None,
) -> list[Comparison]:
    """Compare every module, and the list of deleted records, with the organisation as it is.

    Args:
        warehouse: Has the tap's records.
        organisation: Their source, which must not change meanwhile.
        modules: The modules that were synced; by default all.
        multiselect_separator: As the tap was configured.
    """
    deletions = _deletions(warehouse)
    found = [
        _compare_module(
            warehouse,
            organisation,
            module,
            deletions.get(name, {}),
            multiselect_separator=multiselect_separator,
        )
        for name, module in organisation.modules.items()
        if modules is None or name in modules
    ]
    return [each for each in found if each.columns or each.differences]


def differences(comparisons: Collection[Comparison]) -> list[str]:
    """Return all differences, each with its module."""
    return [f"{each.module}: {text}" for each in comparisons for text in each.differences]


def _deletions(warehouse: Warehouse) -> dict[str, dict[str, datetime]]:
    """Return when each record was deleted, by module and id."""
    table = warehouse.table("deleted_records")
    found: dict[str, dict[str, datetime]] = {}
    for row in table.rows if table else []:
        found.setdefault(row["module"], {})[row["id"]] = row["deleted_time"]
    return found


def _compare_module(
    warehouse: Warehouse,
    organisation: Organisation,
    module: Module,
    deletions: Mapping[str, datetime],
    *,
    multiselect_separator: str | None,
) -> Comparison:
    result = Comparison(module.api_name)
    table = warehouse.table(module.api_name)
    paths = _paths(warehouse, module, table)
    truth = organisation.truth(module.api_name, paths, multiselect_separator)
    if table is None:
        if truth:
            result.differences.append(f"has no table for its {len(truth)} records")
        return result

    kinds = {"id": "text"} | {
        name: _kind(field.kind, as_lists=multiselect_separator is not None, tag=field.is_tag)
        for name, field in paths.items()
    }
    # Bulk read rejects these fields only when the tap requests them: their columns stay empty.
    refused = {warehouse.name(each.api_name) for each in module.fields.values() if each.rejected}
    result.columns = len(kinds)
    result.differences += _wrong_columns(warehouse, table, kinds, refused)
    if result.differences:
        return result

    live = []
    changed = warehouse.name("Modified_Time")
    for row in table.rows:
        deleted = deletions.get(row["id"])
        # A restored record was modified after it was deleted.
        gone = deleted is not None and (changed not in row or deleted >= row[changed])
        if gone or row.get("_sdc_deleted_at") is not None:
            result.deleted += 1
        else:
            live.append(row)
    result.rows = len(live)

    result.differences += [
        f"{row['id']}.{column} is {_short(row[column])}, though Zoho exports no {column}"
        for row in live
        for column in refused & row.keys()
        if row[column] is not None
    ]
    surplus = Counter(row["id"] for row in live) - Counter(truth.keys())
    rows = {row["id"]: row for row in live}
    result.differences += [f"{record_id} should not be there" for record_id in surplus]
    result.differences += [
        f"{record_id} is missing" for record_id in truth if record_id not in rows
    ]
    for record_id, record in truth.items():
        for name, value in record.items() if record_id in rows else ():
            result.values += 1
            storage = warehouse.storage[kinds[name]]
            expected = None if value is None else storage.convert(value)
            actual = rows[record_id][warehouse.name(name)]
            if actual != expected or type(actual) is not type(expected):
                result.differences.append(
                    f"{record_id}.{name} is {_short(actual)}, should be {_short(expected)}"
                )
    return result


def _paths(warehouse: Warehouse, module: Module, table: Table | None) -> dict[str, Field]:
    """Return the fields that the table should have columns for, by name."""
    columns = table.columns if table else {}
    return {
        each.api_name: each
        for each in module.fields.values()
        if each.exportable and (each.listed or warehouse.name(each.api_name) in columns)
    }


def _kind(kind: str, *, as_lists: bool, tag: bool) -> str:
    """Return the key in `storage` for a kind of field."""
    if kind == "list":
        return "array" if as_lists and not tag else "text"
    return "text" if kind in ("textarea", "bigint", "lookup") else kind


def _wrong_columns(
    warehouse: Warehouse, table: Table, kinds: Mapping[str, str], refused: Collection[str]
) -> list[str]:
    expected = {
        warehouse.name(name): warehouse.storage[kind].column_type for name, kind in kinds.items()
    }
    actual = {
        name: kind
        for name, kind in table.columns.items()
        if not name.startswith("_sdc_") and name not in refused
    }
    return [
        f"column {name} is {actual.get(name, 'missing')}, should be {expected.get(name, 'absent')}"
        for name in sorted(expected.keys() | actual.keys())
        if expected.get(name) != actual.get(name)
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
