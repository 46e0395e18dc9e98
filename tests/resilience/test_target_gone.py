"""A target that goes away ends the run with one line, whatever the tap was writing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import ZohoServer
from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.singer import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.resilience.forks import Ended, TapForks
    from tests.support.singer import Json, TapCommand

ORGANISATION = small_organisation({"Orders": 12})
USERS: Json = {
    "tap_stream_id": "users",
    "stream": "users",
    "schema": {"type": "object", "properties": {"id": {"type": ["string"]}}},
    "key_properties": ["id"],
    "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
}


def log_but_info(stderr: str) -> list[str]:
    """Return all lines but those of the level INFO."""
    return [line for line in stderr.splitlines() if "| INFO " not in line]


@pytest.fixture(scope="module")
def server() -> Iterator[ZohoServer]:
    with ZohoServer(ORGANISATION, page_size=5, tokens_per_ten_minutes=None) as started:
        yield started


def settings(server: ZohoServer, **others: Any) -> Json:
    return server.tap_config(**QUICK, emit_activate_version_messages=True, **others)


def run(forks: TapForks, part: str, config: Json, *flags: str, **files: Json) -> Ended:
    tap = forks.start(config, *flags, **files, leaves_before=part)
    return tap.read_lines(lambda _: True)


@pytest.mark.parametrize("stream", ["Orders", "users"])
@pytest.mark.parametrize("kind", ["SCHEMA", "RECORD", "BATCH", "STATE", "ACTIVATE_VERSION"])
def test_a_target_that_leaves_ends_the_run_with_one_line(
    forks: TapForks, server: ZohoServer, tmp_path: Path, stream: str, kind: str
) -> None:
    config = settings(server)
    if kind == "BATCH":
        config["batch_config"] = {
            "encoding": {"format": "jsonl", "compression": "none"},
            "storage": {"root": tmp_path.as_uri()},
        }
    orders = catalog(ORGANISATION, method="FULL_TABLE")
    given = orders if stream == "Orders" else {"streams": [USERS]}

    ended = run(forks, f'"type":"{kind}"', config, catalog=given)

    assert ended.exit_code == 1
    (error,) = log_but_info(ended.stderr)
    assert "The target closed the pipe" in error
    assert "Run ended: target gone" in ended.stderr
    assert f"{stream}: ok" not in ended.stderr


@pytest.mark.parametrize(("flag", "part"), [("--discover", "Orders"), ("--about", "Description")])
def test_what_is_printed_once_ends_with_one_line_as_well(
    forks: TapForks, server: ZohoServer, flag: str, part: str
) -> None:
    ended = run(forks, part, settings(server), flag)

    assert ended.exit_code == 1
    (error,) = log_but_info(ended.stderr)
    assert "The target closed the pipe" in error


def test_a_full_disk_in_place_of_a_target_is_named(server: ZohoServer, tap: TapCommand) -> None:
    config = tap.write(settings(server))
    orders = tap.write(catalog(ORGANISATION))
    full = os.open("/dev/full", os.O_WRONLY)

    ended = subprocess.run(
        [sys.executable, "-m", "tap_zoho_bulk", "--config", config, "--catalog", orders],
        cwd=ROOT,
        stdout=full,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(full)

    assert ended.returncode == 1
    (error,) = log_but_info(ended.stderr)
    assert "No space left on device" in error
    assert "Run ended: target gone" in ended.stderr
