"""A folder that BATCH files cannot go to is named before a job, or leaves no file that is cut."""

from __future__ import annotations

import json
import resource
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from local_zoho_crm import ZohoServer
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.organisations import QUICK, catalog, small_organisation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import LoggedRequest
    from tests.resilience.forks import Ended, TapForks
    from tests.support.singer import Json

FULL_BYTES = 50_000  # less than a file of all records, and more than their ZIP
ORGANISATION = small_organisation({"Orders": 2_000, "Visits": 3})


@pytest.fixture
def server() -> Iterator[ZohoServer]:
    with ZohoServer(ORGANISATION, tokens_per_ten_minutes=None) as started:
        yield started


def settings(
    server: ZohoServer, root: str, file_format: str = "jsonl", **storage: str
) -> dict[str, Any]:
    encoding = {"format": file_format, "compression": "none"}
    batch_config = {"encoding": encoding, "storage": {"root": root, **storage}}
    return server.tap_config(**QUICK, batch_config=batch_config)


def errors(ended: Ended) -> list[str]:
    """Return all lines but those of the level INFO."""
    return [line for line in ended.stderr.splitlines() if "| INFO " not in line]


def check_failure(ended: Ended, *facts: str, exit_code: ExitCode = ExitCode.FIX_FIRST) -> None:
    """Check that each failed stream has a line with the setting and these facts, and no other."""
    assert ended.exit_code == exit_code
    *each, summary = errors(ended)
    assert "streams failed" in summary
    assert each
    for line in each:
        assert "| ERROR " in line
        assert "`batch_config.storage" in line
        for fact in facts:
            assert fact in line


def test_a_prefix_can_name_folders(forks: TapForks, server: ZohoServer, tmp_path: Path) -> None:
    messages: list[Json] = []

    def take(line: bytes) -> bool:
        messages.append(json.loads(line))
        return True

    config = settings(server, (tmp_path / "out").as_uri(), prefix="zoho/2026/x-")
    ended = forks.start(config, catalog=catalog(ORGANISATION)).read_lines(take)

    assert ended.exit_code == 0, ended.stderr
    named = {
        Path(urlsplit(url).path)
        for message in messages
        if message["type"] == "BATCH"
        for url in message["manifest"]
    }
    assert {file for file in tmp_path.rglob("*") if file.is_file()} == named
    assert {file.parent for file in named} == {tmp_path / "out" / "zoho" / "2026"}
    assert all(file.name.startswith("x-") for file in named)


@pytest.mark.parametrize("prefix", ["/zoho/", "../", "zoho/../../"])
def test_a_prefix_does_not_lead_out_of_the_root(
    forks: TapForks, server: ZohoServer, tmp_path: Path, prefix: str
) -> None:
    config = settings(server, (tmp_path / "out").as_uri(), prefix=prefix)
    ended = forks.start(config, catalog=catalog(ORGANISATION)).read_lines(lambda _: True)

    check_failure(ended, "`batch_config.storage.prefix`", "`..`")
    assert not server.jobs
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("root", ["file", "file/folder", "/dev/full", "/proc/folder"])
def test_a_folder_that_cannot_be_made_is_named_before_any_job(
    forks: TapForks, server: ZohoServer, tmp_path: Path, root: str
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / root

    config = settings(server, path.as_uri())
    ended = forks.start(config, catalog=catalog(ORGANISATION)).read_lines(lambda _: True)

    check_failure(ended, str(path))
    assert not server.jobs


def test_a_bucket_that_cannot_be_reached_is_named_before_any_job(
    forks: TapForks, server: ZohoServer, tmp_path: Path
) -> None:
    ended = forks.start(
        settings(server, "s3://bucket/folder"),
        catalog=catalog(ORGANISATION),
        environment={"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"},
    ).read_lines(lambda _: True)

    check_failure(ended, "s3://bucket/folder", "credentials")
    assert not server.jobs


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_a_full_disk_fails_its_stream_and_leaves_no_file_of_it(
    forks: TapForks, server: ZohoServer, tmp_path: Path, file_format: str
) -> None:
    limited = threading.Event()

    def wait(_: LoggedRequest) -> None:
        limited.wait(30)

    server.on_request = wait
    config = settings(server, tmp_path.as_uri(), file_format)
    tap = forks.start(config, catalog=catalog(ORGANISATION))
    resource.prlimit(tap.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))
    limited.set()
    ended = tap.read_lines(lambda _: True)

    check_failure(
        ended,
        "Orders",
        str(tmp_path),
        "File too large",
        exit_code=ExitCode.STREAMS_FAILED,
    )
    (rest,) = tmp_path.iterdir()
    assert "Visits" in rest.name
    assert rest.stat().st_size
