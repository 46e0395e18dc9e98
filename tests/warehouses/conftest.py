"""Fixtures for warehouses: a PostgreSQL server, and the loaders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.support.loaders import duckdb_loader, postgres_loader
from tests.support.postgres import postgres_server
from tests.support.warehouse import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.loaders import Loader


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Return the URI of a PostgreSQL database."""
    with postgres_server() as uri:
        yield uri


@pytest.fixture(params=["duckdb", "postgres"])
def loader(request: pytest.FixtureRequest, tmp_path: Path) -> Loader:
    """Return the loader of an empty warehouse, of each kind."""
    directory = tmp_path / "loader"
    if request.param == "duckdb":
        return duckdb_loader(directory)
    uri = str(request.getfixturevalue("postgres"))
    with psycopg.connect(uri) as connection:
        connection.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA))
        )
    return postgres_loader(directory, uri)
