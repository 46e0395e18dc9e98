"""Fixtures: an account to sign in to, and a server that sends browsers back to the login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Organisation
from tests.support.login import redirect_uri

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve


@pytest.fixture
def organisation() -> Organisation:
    """Create an organisation with three leads."""
    return Organisation.generate(only=["Leads"], sizes={"Leads": 3})


@pytest.fixture
def server(serve: Serve, organisation: Organisation, port: int) -> ZohoServer:
    """Serve the organisation, with the login's redirect URI registered."""
    return serve(organisation, redirect_uris=[redirect_uri(port)])
