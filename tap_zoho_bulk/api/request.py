"""The request: what the client sends to Zoho, and how messages describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ApiRequest:
    """A request to Zoho CRM's API.

    Args:
        path: On the API host, such as `/crm/v8/org`.
        what: The request in words, such as "list the modules"; for messages.
        scope: The OAuth scope that it needs; for messages.
        params: Query of the URL.
        headers: Further headers.
        credits: API credits that it costs.
        expects: Name of a list that the response must hold; None if any response is valid.
    """

    path: str
    what: str
    scope: str
    params: Mapping[str, str | int] | None = None
    headers: Mapping[str, str] | None = None
    credits: int = 1
    expects: str | None = None
