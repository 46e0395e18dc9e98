"""Whatever tap, loader and storage do, a run ends, and leaves no process, file or directory."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from acme import is_running, wait_until
from zoho_bulk_fleet import Fleet, Organisation, Outcome, keeper, pipeline, run
from zoho_bulk_fleet.storage import Folder

if TYPE_CHECKING:
    from zoho_bulk_fleet import Result

PROGRAM = (sys.executable, "-IS", "-c")
READ = "import sys; sys.stdin.read();"
SLEEP = "import time; time.sleep(600)"
NOTE = "import os, sys; os.write(int(sys.argv[1]), f'{os.getpid()} '.encode());"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return a fleet whose organisation has a catalog."""
    catalog = tmp_path / "storage" / "organisations" / "acme" / "catalog.json"
    catalog.parent.mkdir(parents=True)
    catalog.write_text('{"streams": []}')
    return Fleet((tmp_path / "storage").as_uri(), timeout_seconds=1, grace_seconds=0.5)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Check that a test leaves no thread, open file or temporary directory."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    Folder(tmp_path.as_uri(), "other").numbers("lease")  # What obstore opens once, it keeps open.
    # Those of other tests in this process may end meanwhile.
    threads, files = set(threading.enumerate()), open_files()
    yield
    with suppress(AssertionError):
        wait_until(lambda: not (set(threading.enumerate()) - threads or open_files() - files))
    assert set(threading.enumerate()) - threads == set()
    assert open_files() - files == Counter()
    assert list(temporary.iterdir()) == []


def open_files() -> Counter[str]:
    """Return what the open files of this process are, such as one end of a certain pipe."""
    found: Counter[str] = Counter()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # It has just been closed.
            found[str(file.readlink())] += 1
    return found


def run_of(fleet: Fleet, *, tap: str, loader: str = "", **options: Any) -> Result:
    organisation = Organisation("acme", {}, loader=(*PROGRAM, loader) if loader else ())
    given = {"timeout_seconds": 1, "grace_seconds": 0.5, **options}
    return run(organisation, Fleet(fleet.storage, tap=(*PROGRAM, tap), **given))


def test_a_tap_that_ignores_the_stop_is_killed(fleet: Fleet) -> None:
    tap = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"

    result = run_of(fleet, tap=tap)

    assert result.outcome is Outcome.STOPPED


def test_a_loader_that_ignores_the_end_of_its_input_is_killed(fleet: Fleet) -> None:
    assert run_of(fleet, tap="", loader=READ + SLEEP).outcome is Outcome.STOPPED


def test_what_a_program_has_started_ends_with_it(fleet: Fleet, tmp_path: Path) -> None:
    """As with `uv run`, which is the parent of the program."""
    started = tmp_path / "started"
    tap = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-IS", "-c", {SLEEP!r}])
open({str(started)!r}, "w").write(str(child.pid))
"""

    result = run_of(fleet, tap=tap, timeout_seconds=300)

    assert result.outcome is Outcome.OK
    wait_until(lambda: not is_running(int(started.read_text())))


def test_what_a_program_has_started_is_killed_with_it(fleet: Fleet, tmp_path: Path) -> None:
    started = tmp_path / "started"
    loader = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-IS", "-c", {SLEEP!r}])
open({str(started)!r}, "w").write(str(child.pid))
child.wait()
"""

    result = run_of(fleet, tap="", loader=loader)

    assert result.outcome is Outcome.STOPPED
    wait_until(lambda: not is_running(int(started.read_text())))


def test_a_program_that_leaves_its_group_does_not_hold_up_a_run(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_READ_SECONDS", 0.1)
    started = tmp_path / "started"
    tap = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-IS", "-c", {SLEEP!r}], start_new_session=True)
open({str(started)!r}, "w").write(str(child.pid))
"""

    result = run_of(fleet, tap=tap, timeout_seconds=300)

    assert result.outcome is Outcome.FAILED
    assert "has not ended" in result.message
    os.kill(int(started.read_text()), signal.SIGKILL)


def test_a_command_that_cannot_be_started_says_why(fleet: Fleet, tmp_path: Path) -> None:
    broken = tmp_path / "loader"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o700)
    organisation = Organisation("acme", {}, loader=(str(broken),))

    result = run(organisation, Fleet(fleet.storage, tap=(*PROGRAM, SLEEP)))

    assert result.outcome is Outcome.FAILED
    assert "Exec format error" in result.message


def test_pipes_that_are_full_hold_nothing_up(fleet: Fleet) -> None:
    noise = "import sys; [print('x' * 9999, file=each) for each in (sys.stderr,) * 200];"
    loader = f"{noise} {READ} {noise.replace('sys.stderr', 'sys.stdout')}"

    result = run_of(fleet, tap=noise, loader=loader, timeout_seconds=300)

    assert result.outcome is Outcome.OK


def test_a_lease_that_ends_before_it_is_renewed_is_lost(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no other run has acquired it, and a late renewal succeeds."""
    monkeypatch.setattr("zoho_bulk_fleet.pipeline.Pipeline.extend", lambda *_: None)

    result = run_of(fleet, tap=SLEEP, lease_seconds=1, timeout_seconds=300)

    assert result.outcome is Outcome.LEASE_LOST


def test_a_run_goes_on_past_the_seconds_of_its_lease(fleet: Fleet) -> None:
    """The guard learns of each renewal."""
    lease = Folder(fleet.storage, "acme").url.removeprefix("file://") + "/lease"
    tap = f"""
import os, time
while max(map(str, os.listdir({lease!r}))) < "000000000006":
    time.sleep(0.01)
"""

    # The fifth renewal comes after five seconds.
    result = run_of(fleet, tap=tap, lease_seconds=4, timeout_seconds=300)

    assert result.outcome is Outcome.OK


def test_a_run_whose_lease_is_taken_over_is_killed_at_once(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal finds that out, long before its own lease would have ended."""
    monkeypatch.setattr(keeper, "_RENEWALS", 600)
    newer = Folder(fleet.storage, "acme").url.removeprefix("file://") + "/lease/000000000999.json"
    outlived = tmp_path / "outlived"
    tap = f"""
import time
open({newer!r}, "w").write('{{"owner": "another run", "seconds": 60}}')
time.sleep(30)
open({str(outlived)!r}, "w")
"""

    result = run_of(fleet, tap=tap, lease_seconds=60, timeout_seconds=300)

    assert result.outcome is Outcome.LEASE_LOST
    assert not outlived.exists()
