"""Requests that the server received."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class LoggedRequest:
    """A request. Header names are in lower case; `status` is None until the response."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int | None = None

    @property
    def json(self) -> Any:
        """Return the body parsed as JSON, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status or 'no response'}"
