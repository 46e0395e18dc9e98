"""An organisation's Singer state in storage.

Invariant: the state of a later lease counts, whatever an earlier run still writes.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from zoho_bulk_fleet.storage import numbered

if TYPE_CHECKING:
    from zoho_bulk_fleet.storage import Folder

_FOLDER = "state"
_WRITES_PER_TERM = 10**6
_KEPT_RUNS = 5
"""Runs whose last state is kept, so that a person can return to an earlier one."""


class StateFile:
    """The state of one organisation, for the run that holds a lease.

    Args:
        folder: The organisation's.
        term: The number of the lease's acquisition.

    Raises:
        StorageError: If the storage fails.
    """

    def __init__(self, folder: Folder, term: int) -> None:
        self._folder = folder
        self._next = term * _WRITES_PER_TERM
        self._written = b""
        self.value: dict[str, Any] = {}
        """What the tap continues from, or has reached."""
        for number in reversed(folder.numbers(_FOLDER)):
            found = folder.read_json(numbered(_FOLDER, number))
            if isinstance(found, dict):  # Else it was cut off when its writer was killed.
                self.value = found
                break

    def write(self) -> None:
        """Store the value, if it has changed.

        Raises:
            StorageError: If the storage fails.
        """
        content = json.dumps(self.value).encode()
        if not self.value or content == self._written:
            return
        # Each attempt has a number of its own, which only this run uses: an earlier attempt whose
        # response was lost, or that is late, has an older content.
        number = self._next
        self._next += 1
        self._folder.create(numbered(_FOLDER, number), content)
        self._written = content
        self._remove_old()

    def _remove_old(self) -> None:
        numbers = self._folder.numbers(_FOLDER)
        last_of_run = {number // _WRITES_PER_TERM: number for number in numbers}
        # The newest may be cut off, so the one before it is kept as well.
        kept = {*numbers[-2:], *list(last_of_run.values())[-_KEPT_RUNS:]}
        self._folder.remove([numbered(_FOLDER, each) for each in numbers if each not in kept])


def newest_bookmark(state: dict[str, Any]) -> datetime | None:
    """Return the newest replication key value of all streams.

    Args:
        state: A Singer state.
    """
    found = []
    bookmarks = state.get("bookmarks")
    for stream in bookmarks.values() if isinstance(bookmarks, dict) else ():
        value = stream.get("replication_key_value") if isinstance(stream, dict) else None
        try:
            instant = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            continue
        found.append(instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc))
    return max(found, default=None)
