"""Runs in a process of their own, which is stopped, paused and killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import local_zoho_crm
from acme import (
    LOADER,
    MAX_SECONDS,
    TAP,
    crm_with_two_modules,
    figures_of,
    fleet_with_catalog,
    folder_of,
    is_running,
    newest_state,
    organisation_of,
    wait_until,
)
from zoho_bulk_fleet import Outcome, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoho_bulk_fleet import Fleet, Organisation


@pytest.fixture
def crm() -> local_zoho_crm.Organisation:
    return crm_with_two_modules()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return fleet_with_catalog(tmp_path)


@pytest.fixture
def slow(crm: local_zoho_crm.Organisation) -> Iterator[local_zoho_crm.ZohoServer]:
    """Yield a server whose jobs do not end."""
    with local_zoho_crm.ZohoServer(crm, job_seconds=600) as server:
        yield server


@contextmanager
def started(
    organisation: Organisation, fleet: Fleet, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command line until the end of the block."""
    described = {
        "name": organisation.name,
        "settings": dict(organisation.settings),
        "loader": list(organisation.loader),
        "loader_settings": dict(organisation.loader_settings),
    }
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "zoho_bulk_fleet"),
            *("run", "--storage", fleet.storage, "--tap", TAP, *options, "-"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(described).encode())
        process.stdin.close()
        process.stdin = None  # `communicate` would flush it.
        try:
            yield process
        finally:
            process.kill()


def children(pid: int) -> set[int]:
    """Return all processes that a process started, and those started."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == pid:
            child = int(stat.parent.name)
            found |= {child} | children(child)
    return found


def wait_for_jobs(server: local_zoho_crm.ZohoServer) -> None:
    wait_until(lambda: len(server.requests_matching("POST", "/bulk/")) == 2)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(
    slow: local_zoho_crm.ZohoServer, fleet: Fleet, signum: int
) -> None:
    with started(organisation_of(slow), fleet) as process:
        wait_for_jobs(slow)
        process.send_signal(signum)
        process.communicate(timeout=MAX_SECONDS)

    assert process.returncode not in {0, -signum}
    state = newest_state(fleet)
    assert state["bookmarks"]["Leads"]["bulk_read"]["job_id"]
    figures = json.loads((folder_of(fleet) / "latest.json").read_bytes())
    assert figures["outcome"] == "stopped"
    assert run(organisation_of(slow), replace(fleet, timeout_seconds=3)).outcome is Outcome.STOPPED
    assert len(slow.requests_matching("POST", "/bulk/")) == 2


def test_nothing_outlives_a_run_that_is_killed(
    slow: local_zoho_crm.ZohoServer,
    fleet: Fleet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, temporary = tmp_path / "rows", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    organisation = organisation_of(slow, loader=LOADER, loader_settings={"file": str(rows)})
    # It is not the lease that ends them.
    with started(organisation, fleet, "--lease-seconds", "3600") as process:
        wait_for_jobs(slow)
        family = children(process.pid)
        assert len(family) == 3  # the guard, the tap, the loader
        assert list(temporary.iterdir())
        process.kill()
        wait_until(lambda: not any(map(is_running, family)))
        assert list(temporary.iterdir()) == []


def test_what_a_run_that_is_killed_has_spent_counts(
    crm: local_zoho_crm.Organisation, slow: local_zoho_crm.ZohoServer, fleet: Fleet
) -> None:
    with started(organisation_of(slow), fleet, "--lease-seconds", "3") as process:
        wait_for_jobs(slow)
        # It is stored while the run continues.
        wait_until(lambda: any("running" in each.read_text() for each in figures_of(fleet)))
        process.kill()

    crm.advance(timedelta(seconds=700))
    slow._board.job_seconds = 0  # noqa: SLF001 - later jobs end at once
    result = run(organisation_of(slow), replace(fleet, lease_seconds=3))
    assert result.outcome is Outcome.OK
    assert result.figures["credits_24h"] > result.figures["credits"]


def test_tap_and_loader_end_with_their_guard(
    slow: local_zoho_crm.ZohoServer, fleet: Fleet, tmp_path: Path
) -> None:
    settings = {"file": str(tmp_path / "rows")}
    organisation = organisation_of(slow, loader=LOADER, loader_settings=settings)
    with started(organisation, fleet) as process:
        wait_for_jobs(slow)
        family = children(process.pid)
        guard = next(pid for pid in family if children(pid))
        os.kill(guard, signal.SIGKILL)
        _, log = process.communicate(timeout=MAX_SECONDS)

    assert process.returncode == 1
    assert b"their guard" in log
    assert not any(map(is_running, family))


def test_a_run_that_is_paused_for_longer_than_its_lease_loses_it(
    crm: local_zoho_crm.Organisation, slow: local_zoho_crm.ZohoServer, fleet: Fleet
) -> None:
    with started(organisation_of(slow), fleet, "--lease-seconds", "3") as process:
        wait_for_jobs(slow)
        family = children(process.pid)
        process.send_signal(signal.SIGSTOP)
        # Although it cannot notice anything, its tap ends.
        wait_until(lambda: len([pid for pid in family if is_running(pid)]) == 0)
        crm.advance(timedelta(seconds=700))
        slow._board.job_seconds = 0  # noqa: SLF001 - later jobs end at once
        second = run(organisation_of(slow), replace(fleet, lease_seconds=3))
        state = newest_state(fleet)
        process.send_signal(signal.SIGCONT)
        _, log = process.communicate(timeout=MAX_SECONDS)

    assert second.outcome is Outcome.OK
    assert process.returncode == Outcome.LEASE_LOST.exit_code
    assert b"lease" in log
    assert newest_state(fleet) == state
    latest = json.loads((folder_of(fleet) / "latest.json").read_bytes())
    assert latest["term"] == second.figures["term"]


def test_a_second_run_does_nothing_while_the_first_one_is_under_way(
    slow: local_zoho_crm.ZohoServer, fleet: Fleet
) -> None:
    with started(organisation_of(slow), fleet, "--lease-seconds", "4"):
        wait_for_jobs(slow)

        result = run(organisation_of(slow), fleet)

        assert result.outcome is Outcome.HELD
        assert result.figures == {}
    assert len(slow.requests_matching("POST", "/bulk/")) == 2


def test_secrets_are_in_memory_only(
    slow: local_zoho_crm.ZohoServer, fleet: Fleet, tmp_path: Path
) -> None:
    settings = {"file": str(tmp_path / "rows"), "password": "the warehouse's password"}
    organisation = organisation_of(slow, loader=LOADER, loader_settings=settings)
    config = slow.tap_config()
    secrets = [config["client_secret"], config["refresh_token"], settings["password"]]
    with started(organisation, fleet) as process:
        wait_for_jobs(slow)
        seen = [
            Path(f"/proc/{pid}/{name}").read_bytes()
            for pid in {process.pid, *children(process.pid)}
            for name in ("cmdline", "environ")
        ]
        process.terminate()
        _, log = process.communicate(timeout=MAX_SECONDS)
    seen += [log, *(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())]
    seen += [gzip.decompress(each.read_bytes()) for each in folder_of(fleet).rglob("*.gz")]

    assert len(seen) > 10
    for secret in secrets:
        assert not any(secret.encode() in each for each in seen)
        assert secret not in repr(organisation)
