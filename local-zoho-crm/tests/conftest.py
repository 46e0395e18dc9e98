"""Fixtures: servers that stop at the test's end, and a client of one."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from local_zoho_crm import Organisation, ZohoServer
from zoho_client import NOON, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoho_client import Client


class Serve(Protocol):
    """Serves an organisation until the test's end."""

    def __call__(self, organisation: Organisation, **options: Any) -> ZohoServer:
        """Start a server with these options of ZohoServer."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers."""
    with ExitStack() as stack:

        def start(organisation: Organisation, **options: Any) -> ZohoServer:
            return stack.enter_context(ZohoServer(organisation, **options))

        yield start


@pytest.fixture
def organisation() -> Organisation:
    """Create an organisation with 45 leads and a stopped clock."""
    made = Organisation.generate(seed=3, sizes={"Leads": 45})
    made.set_now(NOON)
    return made


@pytest.fixture
def client(organisation: Organisation) -> Iterator[Client]:
    """Serve the organisation in pages of 20 records."""
    with serving(organisation, page_size=20) as made:
        yield made
