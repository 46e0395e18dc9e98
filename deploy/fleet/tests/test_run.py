"""Runs of one organisation: what they load, store and report, and how they end."""

from __future__ import annotations

import gzip
import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import pyarrow.parquet as pq
import pytest

import local_zoho_crm
from page_html import Html
from zoho_bulk_fleet import Fleet, Organisation, Outcome, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUICK = {"poll_interval_seconds": 0.01, "max_poll_interval_seconds": 0.05, "max_retries": 0}
LOADER = (sys.executable, str(Path(__file__).with_name("file_loader.py")))
MAX_SECONDS = 60.0


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find this environment's commands, as a scheduler's task does."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the catalog of the organisation, discovered once."""
    config = tmp_path_factory.mktemp("discovery") / "config.json"
    with local_zoho_crm.ZohoServer(organisation_with_two_modules()) as server:
        config.write_text(json.dumps({**server.tap_config(), **QUICK}))
        tap = Path(sys.executable).with_name("tap-zoho-bulk")
        return subprocess.check_output([tap, "--discover", "--config", config])


@pytest.fixture
def crm() -> local_zoho_crm.Organisation:
    return organisation_with_two_modules()


def organisation_with_two_modules() -> local_zoho_crm.Organisation:
    organisation = local_zoho_crm.Organisation(seed=1)
    organisation.advance(-timedelta(minutes=40))
    for name in ("Leads", "Deals"):
        organisation.add_module(
            local_zoho_crm.Module.of(
                name,
                local_zoho_crm.Field("Name", "text", label="Name"),
                local_zoho_crm.Field("Modified_Time", "datetime", label="Modified Time"),
            )
        )
        for number in range(20):
            organisation.insert(name, values={"Name": f"{name} {number}"})
            organisation.advance(timedelta(minutes=1))
    return organisation


@pytest.fixture
def serve() -> Iterator[Callable[..., local_zoho_crm.ZohoServer]]:
    """Return what serves an organisation until the end of the test."""
    with ExitStack() as stack:
        yield lambda organisation, **options: stack.enter_context(
            local_zoho_crm.ZohoServer(organisation, **options)
        )


@pytest.fixture
def new_fleet(tmp_path: Path) -> Fleet:
    """Return a fleet whose storage is a local folder, with nothing in it."""
    return Fleet((tmp_path / "storage").as_uri())


@pytest.fixture
def fleet(new_fleet: Fleet, catalog: bytes) -> Fleet:
    """Return a fleet whose organisation has a catalog, so that runs need no discovery."""
    folder_of(new_fleet).mkdir(parents=True)
    (folder_of(new_fleet) / "catalog.json").write_bytes(catalog)
    return new_fleet


@pytest.fixture
def server(
    crm: local_zoho_crm.Organisation, serve: Callable[..., local_zoho_crm.ZohoServer]
) -> local_zoho_crm.ZohoServer:
    return serve(crm)


def organisation_of(server: local_zoho_crm.ZohoServer, **options: Any) -> Organisation:
    settings = {**server.tap_config(), **QUICK, **options.pop("settings", {})}
    return Organisation("acme", settings, **options)


def folder_of(fleet: Fleet) -> Path:
    return Path(urlparse(fleet.storage).path) / "organisations" / "acme"


def figures_of(fleet: Fleet) -> Iterator[Path]:
    return folder_of(fleet).glob("figures/*/*.json")


def newest_state(fleet: Fleet) -> Any:
    return json.loads(max((folder_of(fleet) / "state").iterdir()).read_bytes())


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + MAX_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def names(crm: local_zoho_crm.Organisation, module: str) -> set[str]:
    return {record["Name"] for record in crm.module(module).records.values()}


def files_of(fleet: Fleet) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of all files that the messages in storage name."""
    for messages in sorted(folder_of(fleet).glob("data/*/*/messages.jsonl")):
        for line in messages.read_text().splitlines():
            message = json.loads(line)
            if message["type"] == "BATCH":
                for url in message["manifest"]:
                    for row in pq.read_table(urlparse(url).path).to_pylist():
                        yield message["stream"], row


def test_without_a_loader_files_are_in_storage_and_the_next_run_continues(
    crm: local_zoho_crm.Organisation, server: local_zoho_crm.ZohoServer, new_fleet: Fleet
) -> None:
    organisation = organisation_of(server)

    first = run(organisation, new_fleet)
    crm.insert("Leads", values={"Name": "a new one"})
    second = run(organisation, new_fleet)

    assert [first.outcome, second.outcome] == [Outcome.OK, Outcome.OK]
    for module in ("Leads", "Deals"):
        assert {row["Name"] for stream, row in files_of(new_fleet) if stream == module} == names(
            crm, module
        )
    # What the second exported again has the same instant as the bookmark.
    assert first.figures["records"] == 40
    assert 1 <= second.figures["records"] < 40
    assert second.figures["term"] > first.figures["term"]
    for key in ("credits", "records"):
        assert second.figures[f"{key}_24h"] == first.figures[key] + second.figures[key] > 40


def test_an_operators_catalog_is_used_as_it_is(
    server: local_zoho_crm.ZohoServer, fleet: Fleet
) -> None:
    own = folder_of(fleet) / "catalog.json"
    selected = json.loads(own.read_bytes())
    for stream in selected["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] == "Deals"
    own.write_text(json.dumps(selected))

    result = run(organisation_of(server), fleet)

    assert result.outcome is Outcome.OK
    assert len(server.requests_matching("POST", "/bulk/")) == 1


def test_a_loader_gets_records_and_its_state_is_kept(
    crm: local_zoho_crm.Organisation,
    server: local_zoho_crm.ZohoServer,
    fleet: Fleet,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    rows = tmp_path / "rows"
    organisation = organisation_of(
        server, loader=LOADER, loader_settings={"file": str(rows)}, credits_per_day=1000
    )

    result = run(organisation, fleet)

    assert result.outcome is Outcome.OK
    loaded = [json.loads(line) for line in rows.read_text().splitlines()]
    assert {row["Name"] for stream, row in loaded if stream == "Leads"} == names(crm, "Leads")
    assert newest_state(fleet)["bookmarks"]["Leads"]["replication_key_value"]
    figures = json.loads((folder_of(fleet) / "latest.json").read_bytes())
    assert figures == result.figures
    assert figures["outcome"] == "ok"
    assert figures["last_ok"] == figures["began"]
    assert figures["jobs"] == 2
    assert figures["credits"] == figures["credits_24h"] > 100
    assert figures["newest_bookmark"]
    assert figures["peak_memory_bytes"] > 10**6
    (log,) = folder_of(fleet).glob("logs/*/*.jsonl.gz")
    kinds = [
        json.loads(line)["extra"].get("sync_event", {}).get("kind")
        for line in gzip.decompress(log.read_bytes()).splitlines()
    ]
    assert "run_ended" in kinds
    assert "acme: Leads: ok, 20 records" in caplog.text
    assert "METRIC" not in caplog.text


def test_a_loader_that_fails_keeps_the_state_before(
    server: local_zoho_crm.ZohoServer, fleet: Fleet, tmp_path: Path
) -> None:
    settings = {"file": str(tmp_path / "rows"), "error": "the disk is full"}
    organisation = organisation_of(server, loader=LOADER, loader_settings=settings)

    result = run(organisation, fleet)

    assert result.outcome is Outcome.FAILED
    assert "the disk is full" in result.message
    assert not (folder_of(fleet) / "state").exists()


def test_records_without_a_loader_are_an_error(
    server: local_zoho_crm.ZohoServer, fleet: Fleet
) -> None:
    organisation = organisation_of(server, settings={"batch_config": None})

    result = run(organisation, fleet)

    assert result.outcome is Outcome.FAILED
    assert "there is no loader" in result.message


def test_what_a_person_must_fix_says_so(
    server: local_zoho_crm.ZohoServer, new_fleet: Fleet
) -> None:
    result = run(organisation_of(server, settings={"refresh_token": "revoked"}), new_fleet)

    assert result.outcome is Outcome.FIX_FIRST
    assert "refresh token" in result.message
    assert result.figures["last_ok"] is None


def test_the_page_shows_what_runs_left(server: local_zoho_crm.ZohoServer, fleet: Fleet) -> None:
    wrong = organisation_of(server, settings={"refresh_token": "revoked"})
    good = run(organisation_of(server), fleet)
    bad = run(replace(wrong, name="revoked"), fleet)
    command = [sys.executable, "-m", "zoho_bulk_fleet", "page", "--storage", fleet.storage]

    page = subprocess.check_output([*command, "-o", "-"], text=True)

    rows = Html(page).organisations()
    assert list(rows) == ["revoked", "acme"]
    assert rows["revoked"]["outcome"] == f"fix first {bad.message}"
    assert rows["revoked"]["last ok"] == "late never"
    assert rows["acme"]["outcome"] == "ok"
    assert rows["acme"]["last ok"].endswith("s ago")
    assert rows["acme"]["records in 24 h"] == "40"
    assert rows["acme"]["credits in 24 h"] == f"{good.figures['credits']}"


def test_some_streams_that_fail_are_named(server: local_zoho_crm.ZohoServer, fleet: Fleet) -> None:
    run(organisation_of(server), fleet)
    server.faults.add(
        local_zoho_crm.Fault(kind="status", path="/bulk/", method="POST", status=400, times=1)
    )

    result = run(organisation_of(server), fleet)

    assert result.outcome is Outcome.STREAMS_FAILED
    assert len(result.figures["failed_streams"]) == 1
    assert result.figures["last_ok"]


def test_zoho_says_how_long_to_wait(server: local_zoho_crm.ZohoServer, fleet: Fleet) -> None:
    server.faults.add(
        local_zoho_crm.Fault(
            kind="status",
            path="^/(crm|bulk)",
            status=429,
            headers={"Retry-After": "1800"},
            times=None,
        )
    )

    result = run(organisation_of(server), fleet)

    assert result.outcome is Outcome.TRY_AGAIN_LATER
    assert result.retry_after_seconds == pytest.approx(1800)


def test_the_credits_of_a_day_are_kept(server: local_zoho_crm.ZohoServer, new_fleet: Fleet) -> None:
    capped = organisation_of(server, credits_per_day=100)

    results = [run(capped, new_fleet) for _ in range(3)]

    assert sum(result.figures["credits"] for result in results) == server.credits
    assert [result.outcome for result in results] == [Outcome.INCOMPLETE] * 3
    assert sum(result.figures["credits"] for result in results) <= 100
    assert len(server.requests_matching("POST", "/bulk/")) == 1
    # A day later, it continues.
    for file in folder_of(new_fleet).glob("figures/*/*.json"):
        figures = json.loads(file.read_bytes())
        began = datetime.now(timezone.utc) - timedelta(hours=25)
        file.write_text(json.dumps({**figures, "began": began.isoformat()}))
    assert run(capped, new_fleet).figures["credits"] > 0


def test_a_run_that_takes_too_long_is_stopped_and_the_next_one_continues(
    crm: local_zoho_crm.Organisation,
    serve: Callable[..., local_zoho_crm.ZohoServer],
    fleet: Fleet,
) -> None:
    server = serve(crm, job_seconds=600)

    result = run(organisation_of(server), replace(fleet, timeout_seconds=5, lease_seconds=20))

    assert result.outcome is Outcome.STOPPED
    crm.advance(timedelta(seconds=700))
    server._board.job_seconds = 0  # noqa: SLF001 - later jobs end at once
    assert run(organisation_of(server), fleet).outcome is Outcome.OK


def test_a_command_that_is_not_there(fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="no-such-tap is not found"):
        run(Organisation("acme", {}), replace(fleet, tap=("no-such-tap",)))


def test_storage_that_cannot_be_reached_is_tried_again_later() -> None:
    options = {
        "endpoint": "http://127.0.0.1:9",
        "access_key_id": "key",
        "secret_access_key": "secret",
        "retry_config": {"max_retries": 0},
    }

    result = run(Organisation("acme", {}), Fleet("s3://bucket/fleet", options))

    assert result.outcome is Outcome.TRY_AGAIN_LATER
    assert "s3://bucket/fleet/organisations/acme" in result.message
    assert "secret" not in result.message


# Runs in a process of their own, which is stopped, paused and killed


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
            *("run", "--storage", fleet.storage, *options, "-"),
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


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def slow(
    crm: local_zoho_crm.Organisation, serve: Callable[..., local_zoho_crm.ZohoServer]
) -> local_zoho_crm.ZohoServer:
    """Return a server whose jobs do not end."""
    return serve(crm, job_seconds=600)


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
    crm: local_zoho_crm.Organisation, slow: local_zoho_crm.ZohoServer, fleet: Fleet, tmp_path: Path
) -> None:
    rows = tmp_path / "rows"
    organisation = organisation_of(slow, loader=LOADER, loader_settings={"file": str(rows)})
    with started(organisation, fleet, "--lease-seconds", "3") as process:
        wait_for_jobs(slow)
        family = children(process.pid)
        assert len(family) == 3  # the guard, the tap, the loader
        # What it spent is stored while it runs.
        wait_until(lambda: any("running" in each.read_text() for each in figures_of(fleet)))
        process.kill()
        wait_until(lambda: not any(map(is_running, family)))

    crm.advance(timedelta(seconds=700))
    slow._board.job_seconds = 0  # noqa: SLF001 - later jobs end at once
    result = run(organisation, replace(fleet, lease_seconds=3))
    assert result.outcome is Outcome.OK
    assert result.figures["credits_24h"] > result.figures["credits"]  # what the killed one spent


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
