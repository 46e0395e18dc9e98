"""Fixtures for all tests: the tap's command line, the login, and local Zoho CRM servers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from local_zoho_crm import ZohoServer
from tests.support.login import free_port, start_login
from tests.support.program import Program
from tests.support.singer import TapCommand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_zoho_crm import Organisation
    from tests.support.login import RunningLogin


_LONG = {"meltano", "resilience", "warehouses"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that none of them runs alone at the end."""
    items.sort(key=lambda item: item.path.parent.name not in _LONG)


class Serve(Protocol):
    """Serves an organisation until the end of the test."""

    def __call__(self, organisation: Organisation, **options: Any) -> ZohoServer:
        """Start a server with these options of `ZohoServer`."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(organisation: Organisation, **options: Any) -> ZohoServer:
            return stack.enter_context(ZohoServer(organisation, **options))

        yield start


@pytest.fixture(scope="session")
def program() -> Iterator[Program]:
    started = Program("tap-zoho-bulk", "tap_zoho_bulk.__main__:main")
    yield started
    started.close()


@pytest.fixture
def tap(program: Program, tmp_path: Path) -> Iterator[TapCommand]:
    command = TapCommand(program, tmp_path)
    yield command
    command.close()


class Login(Protocol):
    """Starts `tap-zoho-bulk-login` against a server."""

    def __call__(self, server: ZohoServer, *arguments: str, **options: Any) -> RunningLogin:
        """Start the login with these options of `start_login`."""


@pytest.fixture
def port() -> int:
    """Return a free port for the login's redirect URI."""
    return free_port()


@pytest.fixture
def login(port: int) -> Iterator[Login]:
    with ExitStack() as stack:

        def start(server: ZohoServer, *arguments: str, **options: Any) -> RunningLogin:
            running = start_login(server, port, *arguments, **options)
            stack.callback(running.close)
            return running

        yield start
