"""The file that the login writes: the tap's config as JSON, or a project's `.env`.

Invariant: only its owner can read the file, from its first byte on; it is written completely or
not at all; and what the login does not know stays as it is.
"""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from dotenv.parser import parse_stream

from tap_zoho_bulk.exceptions import SettingsError

ENV_PREFIX = "TAP_ZOHO_BULK_"
_LEADING = re.compile(r"\s*(?:export\s+)?")


class ConfigFormat(Protocol):
    """A text format for settings."""

    def parse(self, text: str) -> dict[str, Any]:
        """Return the settings in a text.

        Raises:
            ValueError: If the text is not in this format. Its message says what the text is not.
        """

    def merge(self, text: str | None, settings: dict[str, Any]) -> str:
        """Return a text with settings replaced or added.

        Args:
            text: The text before, or None if there is none.
            settings: Names to values.
        """


class JsonFormat:
    """One JSON object, as the tap's `--config` reads it."""

    def parse(self, text: str) -> dict[str, Any]:
        """Return the settings in a JSON object."""
        with suppress(ValueError):
            config = json.loads(text)
            if isinstance(config, dict):
                return config
        raise ValueError("is not a JSON object")

    def merge(self, text: str | None, settings: dict[str, Any]) -> str:
        """Return the JSON object with settings replaced or added."""
        before = {} if text is None else self.parse(text)
        return json.dumps({**before, **settings}, indent=2, ensure_ascii=False) + "\n"


class EnvFormat:
    """Environment variables, such as the `.env` of a Meltano project."""

    def parse(self, text: str) -> dict[str, Any]:
        """Return the tap's settings among the variables, all as text."""
        return {
            binding.key.removeprefix(ENV_PREFIX).lower(): binding.value
            for binding in parse_stream(io.StringIO(text))
            if binding.key is not None and binding.key.startswith(ENV_PREFIX)
        }

    def merge(self, text: str | None, settings: dict[str, Any]) -> str:
        """Return the variables with the tap's replaced in place, or added at the end."""
        new = {f"{ENV_PREFIX}{name.upper()}": value for name, value in settings.items()}
        lines, replaced = [], set()
        for binding in parse_stream(io.StringIO(text or "")):
            line = binding.original.string.removesuffix("\n")
            if binding.key in new:
                # Each of several, as readers differ in which of them counts.
                replaced.add(binding.key)
                leading = _LEADING.match(line)
                line = (leading[0] if leading else "") + _assignment(binding.key, new[binding.key])
            lines.append(line)
        lines += [_assignment(*each) for each in new.items() if each[0] not in replaced]
        return "".join(f"{line}\n" for line in lines)


class ConfigFile:
    """A file of settings, which may not exist yet.

    Args:
        path: Of the file. If it is a link, its target is written.
        format_: Of the file.
    """

    def __init__(self, path: Path, format_: ConfigFormat) -> None:
        self.path = path
        self._file = Path(os.path.realpath(path))
        self._format = format_

    def read(self) -> dict[str, Any]:
        """Return the settings; none if there is no file.

        Raises:
            SettingsError: When the file cannot be read, or is not a config.
        """
        text = self._text()
        return {} if text is None else self._format.parse(text)

    def check_writable(self) -> None:
        """Check that `merge` can write, before the user signs in.

        Raises:
            SettingsError: When it cannot.
        """
        folder = self._file.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise SettingsError(f"Cannot write {self.path}: {folder} is not a writable folder.")

    def merge(self, settings: dict[str, Any]) -> None:
        """Write settings to the file, and keep its others.

        Args:
            settings: Names to values.

        Raises:
            SettingsError: When it cannot be written. The file is as it was.
        """
        text = self._format.merge(self._text(), settings)
        try:
            # For its owner only, whatever the umask is.
            descriptor, draft = tempfile.mkstemp(
                dir=self._file.parent, prefix=f".{self._file.name}."
            )
        except OSError as error:
            raise SettingsError(f"Cannot write {self.path}: {_why(error)}.") from error
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(self._file)
        except OSError as error:
            raise SettingsError(f"Cannot write {self.path}: {_why(error)}.") from error
        finally:
            with suppress(FileNotFoundError):
                Path(draft).unlink()

    def _text(self) -> str | None:
        """Return the file's text, in its format; None if there is no file."""
        try:
            text = self._file.read_text(encoding="utf-8")
            self._format.parse(text)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"Cannot read {self.path}: {_why(error)}.") from error
        except ValueError as error:
            raise SettingsError(
                f"{self.path} {error}, so nothing can be added to it. Correct it, or name another "
                "file."
            ) from error
        return text


def _assignment(variable: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"{variable}='{escaped}'"


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
