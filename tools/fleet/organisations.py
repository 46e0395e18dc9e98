"""The organisations, each with its own local Zoho CRM, which notes when each request came.

Invariant: what is said of overlaps and limits comes from these notes only, not from the tap.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_zoho_crm import Organisation, ZohoServer

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest

MODULES = ("Leads", "Contacts", "Deals")
DOWNLOADS_PER_MINUTE = 10
"""Of each organisation, as Zoho has it. The tap's default is the same."""
TOKENS_PER_TEN_MINUTES = 10
JOB_SECONDS = 1.0
_SIGN_IN = "/oauth/v2/token"


@dataclass
class Seen:
    """A request that a server has seen.

    Args:
        request: The request.
        began: When it came, on the monotonic clock.
        ended: When its response was sent; None if it was not.
    """

    request: LoggedRequest = field(repr=False)
    began: float
    ended: float | None = None

    @property
    def token(self) -> str:
        """The access token, which each process of the tap has of its own; "" for its request."""
        return self.request.headers.get("authorization", "")


class Tenant:
    """An organisation with its server, within a `with` block of the server.

    Args:
        number: Seed of its records.
    """

    def __init__(self, number: int) -> None:
        self.name = f"org-{number:03}"
        self.organisation = Organisation.generate(
            seed=number,
            only=MODULES,
            sizes={"Leads": 40 + number, "Contacts": 30, "Deals": 20},
        )
        self.server = ZohoServer(
            self.organisation,
            downloads_per_minute=DOWNLOADS_PER_MINUTE,
            tokens_per_ten_minutes=TOKENS_PER_TEN_MINUTES,
            job_seconds=JOB_SECONDS,
        )
        self._seen: list[Seen] = []
        self._lock = threading.Lock()
        self.server.on_request = self._came
        self.server.on_response = self._left

    @property
    def seen(self) -> list[Seen]:
        """All requests so far, as they came."""
        with self._lock:
            return list(self._seen)

    def connection(self) -> dict[str, Any]:
        """Return the Airflow connection with its credentials."""
        config = self.server.tap_config(
            modules=list(MODULES),
            emit_deletes=True,
            poll_interval_seconds=0.5,
            max_poll_interval_seconds=1.0,
        )
        return {
            "conn_type": "generic",
            "login": config.pop("client_id"),
            "password": config.pop("client_secret"),
            "extra": config,
        }

    def edit(self) -> None:
        """Change, add, delete and restore records."""
        leads = sorted(self.organisation.truth("Leads"))
        self.organisation.update("Leads", leads[0], Last_Name=f"changed in {self.name}")
        self.organisation.delete("Leads", leads[1])
        self.organisation.insert("Deals", count=3)
        contacts = sorted(self.organisation.truth("Contacts"))
        self.organisation.delete("Contacts", contacts[0])
        self.organisation.restore("Contacts", contacts[0])

    def _came(self, request: LoggedRequest) -> None:
        with self._lock:
            self._seen.append(Seen(request, time.monotonic()))

    def _left(self, request: LoggedRequest) -> None:
        with self._lock:
            for seen in reversed(self._seen):
                if seen.request is request:
                    seen.ended = time.monotonic()
                    break


def overlaps(seen: list[Seen]) -> list[str]:
    """Return a sentence for each time that two processes of the tap worked at once.

    A process is its access token: from its first request with it to the last response. Another
    process may not even sign in meanwhile.

    Args:
        seen: The requests of one organisation.
    """
    spans: dict[str, tuple[float, float]] = {}
    for each in seen:
        if each.token:
            began, ended = spans.get(each.token, (each.began, each.began))
            spans[each.token] = (began, max(ended, each.ended or each.began))
    others = list(spans.values())
    others += [(each.began, each.ended or each.began) for each in seen if not each.token]
    return [
        f"One process worked from {began:.2f} to {ended:.2f}, another one from {other[0]:.2f} on."
        for began, ended in spans.values()
        for other in others
        if began < other[0] < ended
    ]


def processes_of_tap(seen: list[Seen]) -> int:
    """Return how many processes of the tap an organisation's server has seen.

    Args:
        seen: The requests of one organisation.
    """
    return len({each.token for each in seen} - {""})


def limits_crossed(seen: list[Seen]) -> Counter[str]:
    """Return how often a server refused what exceeds a limit, by path and status.

    Other refusals belong to a sync, such as those of fields that bulk read does not export.

    Args:
        seen: The requests of one organisation.
    """
    return Counter(
        f"{each.request.status} {each.request.path}"
        for each in seen
        if each.request.status == 429
        or (each.request.path == _SIGN_IN and each.request.status != 200)
    )


def peak_downloads(seen: list[Seen]) -> int:
    """Return the maximum number of downloads in any minute.

    Args:
        seen: The requests of one organisation.
    """
    times = [each.began for each in seen if each.request.path.endswith("/result")]
    return max((sum(0 <= later - time < 60 for later in times) for time in times), default=0)


def peak_sign_ins(seen: list[Seen]) -> int:
    """Return the maximum number of token requests in any ten minutes.

    Args:
        seen: The requests of one organisation.
    """
    times = [each.began for each in seen if each.request.path == _SIGN_IN]
    return max((sum(0 <= later - time < 600 for later in times) for time in times), default=0)
