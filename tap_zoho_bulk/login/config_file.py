"""The config file that the login writes.

Invariant: nobody but its owner can read it, from its first byte on; it is there whole or not at
all; and settings that the login does not know stay as they are.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click


class ConfigFile:
    """A config file, which may not be there yet.

    Args:
        path: Where it is. A link stays one; the file behind it is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Path(os.path.realpath(path))

    def read(self) -> dict[str, Any]:
        """Read the settings; none where there is no file.

        Raises:
            ClickException: When there is a file that is no config.
        """
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeError) as error:
            raise click.ClickException(f"Cannot read {self.path}: {_why(error)}.") from error
        try:
            config = json.loads(text)
        except ValueError as error:
            raise click.ClickException(
                f"{self.path} holds no JSON, so nothing can be added to it. Mend it, or name "
                "another file."
            ) from error
        if not isinstance(config, dict):
            raise click.ClickException(f"{self.path} holds no JSON object. Name another file.")
        return config

    def check_writable(self) -> None:
        """Make sure that `merge` can write, before a person goes to any trouble.

        Raises:
            ClickException: When it cannot.
        """
        folder = self._file.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise click.ClickException(
                f"Cannot write {self.path}: {folder} is no folder to write to."
            )

    def merge(self, settings: dict[str, Any]) -> None:
        """Put settings into the file, and keep its others.

        Args:
            settings: Names to values.

        Raises:
            ClickException: When it cannot be written. The file is as it was.
        """
        text = json.dumps({**self.read(), **settings}, indent=2, ensure_ascii=False) + "\n"
        try:
            # Made for its owner only, whatever the umask is.
            descriptor, draft = tempfile.mkstemp(
                dir=self._file.parent, prefix=f".{self._file.name}."
            )
        except OSError as error:
            raise click.ClickException(f"Cannot write {self.path}: {_why(error)}.") from error
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(self._file)
        except OSError as error:
            raise click.ClickException(f"Cannot write {self.path}: {_why(error)}.") from error
        finally:
            with suppress(FileNotFoundError):
                Path(draft).unlink()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
