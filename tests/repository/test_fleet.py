"""What `make fleet` says of overlaps and limits comes from the requests that a server has seen."""

from __future__ import annotations

from local_zoho_crm import LoggedRequest
from tools.fleet.organisations import Seen, limits_crossed, overlaps, peak_downloads

SIGN_IN = "/oauth/v2/token"


def seen(began: float, path: str = "/crm/v8/Leads", token: str = "", status: int = 200) -> Seen:
    headers = {"authorization": token} if token else {}
    request = LoggedRequest("GET", path, {}, headers, b"", status)
    return Seen(request, began, began + 0.5)


def test_runs_one_after_another_do_not_overlap() -> None:
    first = [seen(0, SIGN_IN), seen(1, token="a"), seen(9, token="a")]
    second = [seen(10, SIGN_IN), seen(11, token="b"), seen(12, token="b")]

    assert overlaps(first + second) == []


def test_runs_at_once_overlap() -> None:
    first = [seen(0, SIGN_IN), seen(1, token="a"), seen(9, token="a")]

    assert len(overlaps([*first, seen(9.4, token="b")])) == 1
    assert len(overlaps([*first, seen(5, SIGN_IN)])) == 1
    assert len(overlaps([*first, seen(2, token="b"), seen(20, token="b")])) == 1


def test_what_exceeds_a_limit_is_counted() -> None:
    refused = [seen(0, SIGN_IN, status=400), seen(1, status=429, token="a")]
    others = [seen(0, SIGN_IN), seen(2, "/crm/bulk/v8/read", status=400, token="a")]

    assert sum(limits_crossed(refused + others).values()) == 2
    downloads = [seen(at, "/crm/bulk/v8/read/1/result", "a") for at in (0, 30, 59, 60, 100)]
    assert peak_downloads(downloads) == 3
