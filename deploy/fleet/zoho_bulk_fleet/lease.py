"""The lease of an organisation: one run at a time, on all machines.

Each acquisition and each renewal creates the object of the next number, which the storage lets one
writer do only. The highest number is the lease.

Invariant: no clocks are compared. The owner counts the lease's seconds from before it asked for
them. Another run counts them from when it first saw the lease, and takes it over if its number has
not changed since. So the owner always gives up first.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from zoho_bulk_fleet.guard import now
from zoho_bulk_fleet.storage import numbered

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoho_bulk_fleet.storage import Folder

_FOLDER = "lease"
_MARGIN = 0.1
"""Part of the seconds that the owner leaves unused, as clocks run at different speeds."""
_LOOKS = 6
"""How often another run looks at a lease while it waits for its end."""


class LeaseHeldError(Exception):
    """Another run holds the lease.

    Args:
        owner: That run.
        seconds: The seconds of its lease.
    """

    def __init__(self, owner: str, seconds: float) -> None:
        super().__init__(f"{owner} is syncing this organisation.")
        self.seconds = seconds


class LeaseLostError(Exception):
    """Another run has taken the lease over."""


@dataclass(frozen=True)
class _Entry:
    owner: str
    seconds: float
    released: bool = False


class Lease:
    """The right to sync an organisation.

    Args:
        folder: The organisation's.
        owner: A name of this run that no other run has.
        seconds: How long the lease lasts unless it is renewed.
        clock: Returns seconds that never go back, and that also pass while this process is paused
            or its machine suspended.
        wait: Waits so many seconds.
    """

    def __init__(
        self,
        folder: Folder,
        owner: str,
        seconds: float,
        *,
        clock: Callable[[], float] = now,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._entry = _Entry(owner, seconds)
        self._clock = clock
        self._wait = wait
        self._number = 0
        self.term = 0
        """The number of the acquisition. A later run's is higher."""
        self.valid_until = 0.0
        """When the owner must have stopped, on its clock."""

    def acquire(self) -> None:
        """Acquire the lease. Wait for one that may have been abandoned.

        Raises:
            LeaseHeldError: If another run holds it.
            StorageError: If the storage fails.
        """
        number, entry = self._newest()
        if not entry.released:
            number, entry = self._watch(number, entry)
        if not self._create(number + 1, self._entry):
            raise LeaseHeldError("Another run", self._entry.seconds)
        self.term = self._number

    def renew(self) -> None:
        """Extend the lease.

        Raises:
            LeaseLostError: If another run has taken it over.
            StorageError: If the storage fails. The lease is then as before.
        """
        if not self._create(self._number + 1, self._entry):
            raise LeaseLostError("Another run has taken over the lease of this organisation.")

    def release(self) -> None:
        """Leave the lease to the next run, unless another one has it.

        Raises:
            StorageError: If the storage fails. The next run then waits for the lease's end.
        """
        self._create(
            self._number + 1, _Entry(self._entry.owner, self._entry.seconds, released=True)
        )

    def _watch(self, number: int, entry: _Entry) -> tuple[int, _Entry]:
        """Wait until a lease has ended, and return it."""
        until = self._clock() + entry.seconds
        while (left := until - self._clock()) > 0:
            self._wait(min(left, entry.seconds / _LOOKS))
            newer, newer_entry = self._newest()
            if newer_entry.released:
                return newer, newer_entry
            if newer != number:
                raise LeaseHeldError(newer_entry.owner, newer_entry.seconds)
        return number, entry

    def _newest(self) -> tuple[int, _Entry]:
        numbers = self._folder.numbers(_FOLDER)
        if not numbers:
            return 0, _Entry("", 0, released=True)
        found = self._folder.read_json(numbered(_FOLDER, numbers[-1]))
        try:
            return numbers[-1], _Entry(**found)
        except TypeError:
            # It was removed, as there is a newer one, or its writer died. Either way, wait and see.
            return numbers[-1], _Entry("A run", self._entry.seconds)

    def _create(self, number: int, entry: _Entry) -> bool:
        """Create the lease of a number, and return whether it is this run's and the newest."""
        began = self._clock()
        path = numbered(_FOLDER, number)
        # What looks like another run's may be this run's, if a response was lost.
        if not (
            self._folder.create(path, json.dumps(asdict(entry)).encode())
            or self._folder.read_json(path) == asdict(entry)
        ):
            return False
        numbers = self._folder.numbers(_FOLDER)
        # If this process was paused, a number that is free may have been used and removed.
        if not numbers or numbers[-1] != number:
            return False
        self._number = number
        self.valid_until = began + entry.seconds * (1 - _MARGIN)
        self._folder.remove([numbered(_FOLDER, old) for old in numbers[:-1]])
        return True
