"""What the tests share: servers that stop at the test's end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from local_zoho_crm import ZohoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import Organisation


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
