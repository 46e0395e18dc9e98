"""What every request passes: the concurrency limit and the log."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zoho_client import leads, serving

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest, Organisation
    from zoho_client import Client


def test_too_many_requests_at_once(organisation: Organisation) -> None:
    barrier = threading.Barrier(3, timeout=10)

    def wait(request: LoggedRequest) -> None:
        if request.path.startswith("/crm/v8/org"):
            barrier.wait()

    with serving(organisation, concurrent_requests=2, latency=0.2) as client:
        client.server.on_request = wait
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: client.get("/crm/v8/org"), range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
        assert client.server.peak_concurrency == 3


def test_requests_are_logged_and_announced(client: Client) -> None:
    heard: list[LoggedRequest] = []
    client.server.on_request = heard.append
    client.post(leads(fields=["Company"]))
    (logged,) = client.server.requests_matching("POST", r"/read$")
    assert heard == [logged]
    assert logged.json["query"]["fields"] == ["Company"]
    assert logged.headers["authorization"].endswith(client.access_token)
    assert logged.status == 201
