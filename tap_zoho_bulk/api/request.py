"""The request: what the client sends to Zoho, and how messages describe it.

A response of empty objects takes nearly thirty times its length in memory, so each endpoint has a
limit that fits what Zoho sends there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_METADATA_BYTES = 16 << 20
"""A module's fields, with all values of their picklists, have a few MB."""
_MAX_JOB_BYTES = 1 << 18
"""A job's query and state have a few KB."""
_MAX_BYTES = 32 << 20
"""A page of 200 users has about 1 MB, and one of 200 notes of 32,000 characters up to 26 MB."""


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
        about: Fields of its events, such as the page that it downloads.
    """

    path: str
    what: str
    scope: str
    params: Mapping[str, str | int] | None = None
    headers: Mapping[str, str] | None = None
    credits: int = 1
    expects: str | None = None
    about: Mapping[str, Any] | None = None

    @property
    def max_bytes(self) -> int:
        """Maximum length of the response, unless it is a file."""
        if "/settings/" in self.path:
            return _MAX_METADATA_BYTES
        return _MAX_JOB_BYTES if "/bulk/" in self.path else _MAX_BYTES
