"""Runs of one organisation: what they load, store and report, and how they end."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import pyarrow.parquet as pq
import pytest

import local_zoho_crm
from acme import (
    LOADER,
    TAP,
    crm_with_two_modules,
    fleet_with_catalog,
    fleet_without_catalog,
    folder_of,
    newest_state,
    organisation_of,
)
from page_html import Html
from zoho_bulk_fleet import Fleet, Organisation, Outcome, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def crm() -> local_zoho_crm.Organisation:
    return crm_with_two_modules()


@pytest.fixture
def serve() -> Iterator[Callable[..., local_zoho_crm.ZohoServer]]:
    """Return what serves an organisation until the end of the test."""
    with ExitStack() as stack:
        yield lambda organisation, **options: stack.enter_context(
            local_zoho_crm.ZohoServer(organisation, **options)
        )


@pytest.fixture
def server(
    crm: local_zoho_crm.Organisation, serve: Callable[..., local_zoho_crm.ZohoServer]
) -> local_zoho_crm.ZohoServer:
    return serve(crm)


@pytest.fixture
def new_fleet(tmp_path: Path) -> Fleet:
    return fleet_without_catalog(tmp_path)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return fleet_with_catalog(tmp_path)


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
    assert result.outcome.exit_code == 1
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
    assert result.outcome.exit_code == 78
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
    assert result.outcome.exit_code == 3
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
    assert result.outcome.exit_code == 75
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

    result = run(Organisation("acme", {}), Fleet("s3://bucket/fleet", options, tap=(TAP,)))

    assert result.outcome is Outcome.TRY_AGAIN_LATER
    assert "s3://bucket/fleet/organisations/acme" in result.message
    assert "secret" not in result.message
