"""What a run needs to know of a Zoho organisation.

Invariant: settings, which contain secrets, are in no text of it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
_SECRET = re.compile(
    "secret|password|passphrase|token|credential|(api|access|private)_?key", re.IGNORECASE
)
"""What the names of secret settings contain."""
_MIN_SECRET_CHARACTERS = 6


@dataclass(frozen=True)
class Organisation:
    """A Zoho organisation, and where its records are loaded.

    Args:
        name: Its name in storage and logs: up to 100 letters, digits, `_`, `.` and `-`.
        settings: The tap's settings. `batch_config` needs no `storage`: files that a loader reads
            are in a temporary directory, and those without a loader in the organisation's `data`.
        loader: The loader's command and arguments; none to keep BATCH files in storage instead.
        loader_settings: The loader's settings.
        credits_per_day: Maximum API credits that all runs spend in 24 hours; None for no limit.

    Raises:
        ValueError: If one of them is wrong. The message has no value of a setting.
    """

    name: str
    settings: Mapping[str, Any] = field(repr=False)
    loader: Sequence[str] = ()
    loader_settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    credits_per_day: int | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise ValueError(
                f"The organisation's name, {self.name!r}, must be up to 100 letters, digits, `_`, "
                "`.` and `-`, and begin with a letter or a digit."
            )
        for key in ("settings", "loader_settings"):
            if not isinstance(getattr(self, key), dict):
                raise ValueError(f"{self.name}: `{key}` must be an object.")  # noqa: TRY004
            try:
                json.dumps(getattr(self, key))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{self.name}: `{key}` cannot be JSON: {error}.") from error
        if not isinstance(self.loader, (list, tuple)) or not all(
            isinstance(word, str) for word in self.loader
        ):
            raise ValueError(f"{self.name}: `loader` must be a list: a command and its arguments.")
        if self.credits_per_day is not None and not (
            type(self.credits_per_day) is int and self.credits_per_day > 0
        ):
            raise ValueError(f"{self.name}: `credits_per_day` must be an integer of at least 1.")

    @cached_property
    def _secrets(self) -> re.Pattern[bytes] | None:
        found = {*_secrets_of(self.settings), *_secrets_of(self.loader_settings)}
        written = {
            each
            for secret in found
            # In JSON, in Python, and as they are
            for each in (json.dumps(secret)[1:-1], repr(secret)[1:-1], *secret.splitlines())
        }
        longest_first = sorted(written, key=len, reverse=True)
        patterns = [
            re.escape(each.encode())
            for each in longest_first
            if len(each) >= _MIN_SECRET_CHARACTERS
        ]
        return re.compile(b"|".join(patterns)) if patterns else None

    def redact(self, line: bytes) -> bytes:
        """Return a line of a log without the values of secret settings.

        A loader may print its settings, such as in an error about one of them.

        Args:
            line: The line.
        """
        return self._secrets.sub(b"***", line) if self._secrets else line

    @classmethod
    def from_json(cls, content: object) -> Organisation:
        """Return the organisation that a JSON object describes, by the names of the arguments.

        Args:
            content: The object, parsed.

        Raises:
            ValueError: If it describes none.
        """
        if not isinstance(content, dict):
            raise ValueError("An organisation must be an object.")  # noqa: TRY004
        known = {each.name for each in fields(cls)}
        if unknown := sorted(content.keys() - known):
            raise ValueError(
                f"An organisation has no {', '.join(unknown)}. It has {', '.join(sorted(known))}."
            )
        if missing := sorted({"name", "settings"} - content.keys()):
            raise ValueError(f"An organisation needs {' and '.join(missing)}.")
        return cls(**content)


def _secrets_of(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _secrets_of(each, str(key))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _secrets_of(each, name)
    elif isinstance(value, str):
        if _SECRET.search(name):
            yield value
        elif "://" in value:
            with suppress(ValueError):
                yield urlsplit(value).password or ""
