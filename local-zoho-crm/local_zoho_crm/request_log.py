"""Requests as the server saw them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class LoggedRequest:
    """A request; header names are in lower case, `status` is None until it is answered."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int | None = None

    @property
    def json(self) -> Any:
        """The body as JSON, None if it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status or 'no answer'}"
