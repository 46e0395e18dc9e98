"""Where secrets must not be: files, storage, tables, Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def files(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file in a directory and below.

    Args:
        directory: The directory.
    """
    for path in directory.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def tables(uri: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and all rows, as text, of each table of a PostgreSQL database.

    Args:
        uri: The database's.
    """
    with psycopg.connect(uri) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for name in names:
            rows = connection.execute(
                sql.SQL("SELECT each::text FROM {} AS each").format(sql.Identifier(*name))
            )
            yield ".".join(name), "\n".join(row[0] for row in rows).encode()


def found(texts: Iterable[tuple[str, bytes]], wanted: set[str]) -> dict[str, set[str]]:
    """Return in which texts there are which secrets.

    Args:
        texts: Names and contents.
        wanted: The secrets. In tables, binary columns are hexadecimal digits.
    """
    forms = {each: (each.encode(), each.encode().hex().encode()) for each in wanted}
    places: dict[str, set[str]] = {}
    for name, content in texts:
        for secret, both in forms.items():
            if any(form in content for form in both):
                places.setdefault(name, set()).add(secret)
    return places
