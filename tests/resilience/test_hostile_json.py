"""A response of JSON takes bounded memory, whatever it holds, and an error keeps none of it."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Fault, ZohoServer
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.api.transport import TransientError, Transport
from tap_zoho_bulk.exceptions import ExitCode, ZohoUnavailableError
from tests.resilience.watch import Watch
from tests.support.organisations import QUICK, small_organisation

if TYPE_CHECKING:
    from tests.resilience.forks import Ended, TapForks

MB = 1 << 20
STREAMS = ("Orders", "Rooms", "Visits")


def empty_objects(size: int) -> bytes:
    """Return a JSON object of this length that holds as many objects as possible."""
    return b'{"a":[' + b"{}," * ((size - 10) // 3) + b"{}]}"


def run(forks: TapForks, path: str, body: bytes) -> tuple[Ended, int]:
    """Run the tap with this response at an endpoint; return its end, and its memory in bytes."""
    headers = {"Content-Type": "application/json"}
    organisation = small_organisation(dict.fromkeys(STREAMS, 2))
    with ZohoServer(organisation, tokens_per_ten_minutes=None) as server:
        server.faults.add(Fault(status=200, body=body, headers=headers, path=path, times=None))
        tap = forks.start(server.tap_config(**{**QUICK, "max_retries": 1}))
        with Watch(tap.pid) as watch:
            ended = tap.read_lines(lambda _: True)
    return ended, watch.most.rss


@pytest.mark.parametrize(
    "path", [r"/oauth/", r"/settings/modules$", r"/settings/fields$", r"/read$", r"/read/\d+$"]
)
def test_a_response_that_is_too_long_is_not_parsed(forks: TapForks, path: str) -> None:
    ended, memory = run(forks, path, empty_objects(20 * MB))

    assert "the response is longer than" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert memory < 200 * MB, f"{memory / MB:.0f} MB"


@pytest.mark.parametrize(
    ("path", "at_once"), [("/crm/v8/settings/modules", 1), ("/crm/bulk/v8/read", len(STREAMS))]
)
def test_the_longest_response_takes_bounded_memory(
    forks: TapForks, path: str, at_once: int
) -> None:
    longest = ApiRequest(path, what="", scope="").max_bytes

    ended, memory = run(forks, f"^{path}$", empty_objects(longest))

    assert ended.exit_code in {ExitCode.STREAMS_FAILED, ExitCode.TRY_AGAIN_LATER}
    assert "longer than" not in ended.stderr
    assert memory < 120 * MB + 32 * longest * at_once, f"{memory / MB:.0f} MB"


def test_an_error_that_is_kept_keeps_no_response() -> None:
    class Response:
        """Stands for a long one."""

    received: list[weakref.ref[Response]] = []

    def once() -> None:
        response = Response()
        received.append(weakref.ref(response))
        raise TransientError("it is not what it should be")

    transport = Transport(timeout=1, max_retries=0, max_concurrent_requests=1)
    with pytest.raises(ZohoUnavailableError) as kept:
        transport.attempt("ask", once)
    transport.close()
    gc.collect()

    assert isinstance(kept.value.__cause__, TransientError)
    assert [each() for each in received] == [None]
