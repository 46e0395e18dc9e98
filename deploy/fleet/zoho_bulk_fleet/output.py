"""What comes out of a pipeline: STATE, and without a loader the messages that name BATCH files.

Invariant: a state is stored only after what it covers: the loader has committed that, or the files
are in storage, and so are the messages that name them.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoho_bulk_fleet.state import StateFile
    from zoho_bulk_fleet.storage import Folder


logger = logging.getLogger(__name__)


class OutputError(Exception):
    """What tap or loader printed cannot be used."""


class LoaderOutput:
    """The states that a loader prints once it has committed their records.

    Args:
        state: Where they are stored.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self._lock = threading.Lock()

    def take(self, line: bytes) -> None:
        """Read a line of the loader's output.

        Args:
            line: A state, as JSON. Any other line is skipped: a loader may print more, and one that
                is killed may print half a state.
        """
        try:
            state = json.loads(line)
        except ValueError:
            state = None
        if isinstance(state, dict):
            self._state.value = state
        elif line.strip() not in {b"", b"null"}:
            logger.warning("Skipped a line of the loader's output, which is not a state.")

    def store(self) -> None:
        """Store the newest state, if it is not stored.

        Raises:
            StorageError: If the storage fails.
        """
        with self._lock:
            self._state.write()


class FilesOutput:
    """The tap's messages, if it writes BATCH files into storage and there is no loader.

    They are stored beside the files, with the newest STATE only, so that a Singer target can load
    the files later.

    Args:
        state: Where states are stored.
        folder: The organisation's.
        path: Path of the object for the messages.
    """

    def __init__(self, state: StateFile, folder: Folder, path: str) -> None:
        self._state = state
        self._folder = folder
        self._path = path
        self._messages: list[bytes] = []
        self._newest: tuple[int, bytes] | None = None
        # How many messages came before the newest STATE, and that STATE
        self._stored: tuple[int, bytes] | None = None
        self._lock = threading.Lock()

    def take(self, line: bytes) -> None:
        """Read a message.

        Args:
            line: The message, as JSON.

        Raises:
            OutputError: If it is a RECORD, which would be lost, or not a message.
        """
        try:
            kind = json.loads(line)["type"]
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError("The tap printed a line that is not a Singer message.") from error
        if kind == "RECORD":
            raise OutputError(
                "The tap emits records, and there is no loader. Set a loader, or `batch_config`."
            )
        if kind == "STATE":
            self._newest = len(self._messages), line
        else:
            self._messages.append(line)

    def store(self) -> None:
        """Store the messages before the newest STATE, then that state, if they are not stored.

        Raises:
            StorageError: If the storage fails.
        """
        with self._lock:
            newest = self._newest
            if newest is None or newest == self._stored:
                return
            count, line = newest
            self._folder.write(self._path, b"".join([*self._messages[:count], line]))
            self._state.value = json.loads(line)["value"]
            self._state.write()
            self._stored = newest
