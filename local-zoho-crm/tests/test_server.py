"""The server: unknown URLs and methods, and shutdown."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from local_zoho_crm import Fault
from zoho_client import code, serving

if TYPE_CHECKING:
    from local_zoho_crm import Organisation
    from zoho_client import Client


@pytest.mark.parametrize("path", ["/crm/v8/settings/x", "/crm/v9/org", "/crm/v1/org", "/"])
def test_other_urls_are_refused(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, code(answer)) == (404, "INVALID_URL_PATTERN")


def test_other_methods_are_refused(client: Client) -> None:
    answer = client.session.put(f"{client.server.url}/crm/v8/org")
    assert (answer.status_code, code(answer)) == (400, "INVALID_REQUEST_METHOD")


def test_the_server_stops_while_it_answers(organisation: Organisation) -> None:
    arrived = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with serving(organisation) as client:
            client.server.faults.add(Fault(kind="delay", seconds=3600, path="/org$"))
            client.server.on_request = lambda _: arrived.set()
            answer = pool.submit(requests.get, f"{client.server.url}/crm/v8/org", timeout=60)
            assert arrived.wait(10)
        with pytest.raises(requests.ConnectionError):
            answer.result()
