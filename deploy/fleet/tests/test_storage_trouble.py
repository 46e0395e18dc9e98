"""Storage that is late, and responses that are lost: the newest state and figures count."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from zoho_bulk_fleet import Fleet, Organisation, Outcome, run
from zoho_bulk_fleet.keeper import Keeper
from zoho_bulk_fleet.lease import Lease, LeaseHeldError
from zoho_bulk_fleet.output import FilesOutput
from zoho_bulk_fleet.state import StateFile
from zoho_bulk_fleet.storage import Folder, StorageError, numbered

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = (sys.executable, "-IS", "-c")


class TroubledFolder(Folder):
    """Loses responses, and the requests to write, while it has faults left."""

    lost_responses = 0
    lost_writes = 0

    def create(self, path: str, content: bytes) -> bool:
        """Create an object, as `Folder` does."""
        created = super().create(path, content)
        if self.lost_responses:
            self.lost_responses -= 1
            raise StorageError("The response was lost.")
        return created

    def write(self, path: str, content: bytes, content_type: str | None = None) -> None:
        """Write an object, as `Folder` does."""
        if self.lost_writes:
            self.lost_writes -= 1
            raise StorageError("The request was lost.")
        super().write(path, content, content_type)


@pytest.fixture
def folder(tmp_path: Path) -> TroubledFolder:
    return TroubledFolder(tmp_path.as_uri(), "acme")


def state_of(position: int) -> dict[str, Any]:
    return {"bookmarks": {"Leads": {"position": position}}}


def line(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode() + b"\n"


def test_the_state_after_a_lost_response_is_stored_as_well(folder: TroubledFolder) -> None:
    state = StateFile(folder, 1)
    state.value = state_of(1)
    folder.lost_responses = 1
    with pytest.raises(StorageError):
        state.write()
    state.value = state_of(2)

    state.write()

    assert StateFile(folder, 2).value == state_of(2)


def test_a_state_that_could_not_be_stored_is_stored_later(folder: TroubledFolder) -> None:
    state = StateFile(folder, 1)
    state.value = state_of(1)
    folder.lost_responses = 1
    with pytest.raises(StorageError):
        state.write()

    state.write()

    assert StateFile(folder, 2).value == state_of(1)


def test_what_an_older_run_still_writes_does_not_count(folder: TroubledFolder) -> None:
    older, newer = StateFile(folder, 1), StateFile(folder, 2)
    newer.value = state_of(2)
    newer.write()
    for position in range(9):
        older.value = state_of(position)
        older.write()

    assert StateFile(folder, 3).value == state_of(2)


def test_the_last_states_of_five_runs_are_kept(folder: TroubledFolder) -> None:
    for term in range(1, 8):
        state = StateFile(folder, term)
        for position in range(9):
            state.value = state_of(10 * term + position)
            state.write()

    kept = [folder.read_json(numbered("state", number)) for number in folder.numbers("state")]
    # The newest may be cut off, so the one before it is kept as well.
    assert kept == [state_of(position) for position in (38, 48, 58, 68, 77, 78)]
    assert StateFile(folder, 8).value == state_of(78)


def test_a_state_is_stored_once(folder: TroubledFolder) -> None:
    state = StateFile(folder, 1)
    state.value = state_of(1)

    state.write()
    state.write()

    assert len(folder.numbers("state")) == 1


def test_an_empty_state_is_not_stored(folder: TroubledFolder) -> None:
    """Such as a loader prints that has read nothing. It would hide the state before."""
    state = StateFile(folder, 1)

    state.write()

    assert folder.numbers("state") == []


def test_a_state_waits_for_the_messages_before_it(folder: TroubledFolder) -> None:
    output = FilesOutput(StateFile(folder, 1), folder, "messages.jsonl")
    before, after = line("BATCH", manifest=["1"]), line("BATCH", manifest=["2"])
    reached = line("STATE", value=state_of(1))
    for each in (before, reached, after):
        output.take(each)
    folder.lost_writes = 1

    with pytest.raises(StorageError):
        output.store()
    assert folder.numbers("state") == []

    output.store()
    assert StateFile(folder, 2).value == state_of(1)
    # Messages after the newest state belong to what the next run repeats.
    assert folder.read("messages.jsonl") == before + reached

    output.take(line("STATE", value=state_of(2)))
    output.store()
    assert folder.read("messages.jsonl") == before + after + line("STATE", value=state_of(2))
    assert StateFile(folder, 2).value == state_of(2)


def test_of_two_that_begin_at_once_one_waits_as_long_as_a_lease(tmp_path: Path) -> None:
    first = Lease(Folder(tmp_path.as_uri(), "acme"), "first", 60)

    class LateFolder(Folder):
        """Its first look comes before another run acquires the lease."""

        def create(self, path: str, content: bytes) -> bool:
            """Create an object, as `Folder` does."""
            first.acquire()
            return super().create(path, content)

    second = Lease(LateFolder(tmp_path.as_uri(), "acme"), "second", 60)
    with pytest.raises(LeaseHeldError) as raised:
        second.acquire()

    assert raised.value.seconds == 60


def test_a_lease_whose_response_was_lost_is_this_runs(tmp_path: Path) -> None:
    """The storage's client has sent the request again, and found the object there."""

    class RetriedFolder(Folder):
        """Its client repeats each request to create an object."""

        def create(self, path: str, content: bytes) -> bool:
            """Create an object, as `Folder` does."""
            super().create(path, content)
            return super().create(path, content)

    folder = RetriedFolder(tmp_path.as_uri(), "acme")
    lease = Lease(folder, "first", 60)

    lease.acquire()
    lease.renew()
    lease.release()

    assert folder.numbers("lease") == [3]


def test_figures_that_are_stored_late_do_not_replace_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper's, which says that the run is under way, while the run ends."""
    folder = Folder(tmp_path.as_uri(), "acme")
    folder.write("catalog.json", b'{"streams": []}')
    spent = '{"message": "", "level": "info", "extra": {"sync_event": {"credits": 51}}}'
    ends = tmp_path / "ends"
    tap = f"""
import os, sys, time
print({spent!r}, file=sys.stderr)
while not os.path.exists({str(ends)!r}):
    time.sleep(0.01)
"""
    write, last = Folder.write, threading.Event()

    def late_write(self: Folder, path: str, content: bytes) -> None:
        if b'"running"' in content and threading.current_thread() is not threading.main_thread():
            ends.touch()
            last.wait(1)
        write(self, path, content)
        if path == "latest.json":
            last.set()

    monkeypatch.setattr(Folder, "write", late_write)
    organisation = Organisation("acme", {}, (*PROGRAM, "import sys; sys.stdin.read()"))

    result = run(organisation, Fleet(tmp_path.as_uri(), tap=(*PROGRAM, tap)))

    assert result.outcome is Outcome.OK
    (path,) = folder.paths("figures")
    assert folder.read_json(path) == result.figures


def test_a_lease_ends_while_its_machine_is_suspended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(Folder(tmp_path.as_uri(), "acme"), "first", 60)
    lease.acquire()
    keeper = Keeper(lease, 60, 600)
    assert keeper.holds

    clock = time.clock_gettime
    monkeypatch.setattr(
        time, "clock_gettime", lambda kind: clock(kind) + 100 * (kind == time.CLOCK_BOOTTIME)
    )

    assert not keeper.holds
