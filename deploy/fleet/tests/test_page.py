"""The page shows every organisation of a storage, whatever its figures hold."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from page_html import Html
from zoho_bulk_fleet import Outcome
from zoho_bulk_fleet.figures import MAX_FIGURES_BYTES, latest_figures
from zoho_bulk_fleet.page import fleet_page
from zoho_bulk_fleet.storage import Folder, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 3, 4, 12, tzinfo=timezone.utc)
TAGS = {
    *("html", "head", "meta", "title", "style", "script", "body", "header", "footer", "section"),
    *("h1", "h2", "p", "div", "span", "b", "bdi", "code", "svg", "rect"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


def figures(organisation: str = "acme", **changed: Any) -> dict[str, Any]:
    """Return figures of a run that was ok, half an hour ago."""
    return {
        "organisation": organisation,
        "outcome": "ok",
        "message": "",
        "began": "2026-03-04T11:30:00+00:00",
        "seconds": 75.4,
        "tap_seconds": 70.0,
        "records": 12345,
        "jobs": 7,
        "credits": 350,
        "credits_24h": 1400,
        "records_24h": 54321,
        "bytes": 99999,
        "newest_bookmark": "2026-03-04T11:29:00Z",
        "lag_seconds": 135.4,
        "last_ok": "2026-03-04T11:30:00+00:00",
        "failed_streams": [],
        "incomplete_streams": [],
        "retry_after_seconds": None,
        "term": 12,
        "peak_memory_bytes": 123_456_789,
        "host": "worker-1",
        **changed,
    }


def shown(*rows: dict[str, Any], **options: Any) -> Html:
    """Return the page of these figures."""
    return Html(fleet_page(rows, now=NOW, **options))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Run a local S3 server, and yield its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Storage:
    """Return an empty storage: a local folder, and a bucket."""
    if request.param == "folder":
        return Storage((tmp_path / "fleet").as_uri())
    url = request.getfixturevalue("s3")
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid4().hex}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket=bucket)
    return Storage(f"s3://{bucket}/fleet")


class Storage:
    """A storage with the latest figures of organisations."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fleet = Folder(url, None)

    def write(self, organisation: str, content: bytes, name: str = "latest.json") -> None:
        """Write an object of an organisation."""
        self.fleet.write(f"organisations/{organisation}/{name}", content)

    def page(self) -> Html:
        """Return the page of this storage."""
        return Html(fleet_page(latest_figures(self.fleet), now=NOW))


def page_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "zoho_bulk_fleet", "page", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_page_shows_what_the_storage_has(storage: Storage) -> None:
    names = [f"customer-{number}" for number in range(20)]
    for number, name in enumerate(names):
        storage.write(name, json.dumps(figures(name, records=number, credits_24h=number)).encode())

    page = storage.page()

    rows = page.organisations()
    assert sorted(rows) == sorted(names)
    assert [rows[name]["records"] for name in names] == [f"{number}" for number in range(20)]
    assert rows["customer-19"] == {
        "organisation": "customer-19",
        "outcome": "ok",
        "last ok": "30 min ago",
        "lag": "31 min",
        "began (UTC)": "2026-03-04 11:30",
        "time": "1 min 15 s",
        "records": "19",
        "records in 24 h": "54,321",
        "credits": "350",
        "credits in 24 h": "19",
        "memory": "123 MB",
    }
    assert page.tiles() == {
        "organisations": "20",
        "ok": "20",
        "late, more than 2 h": "0",
        "failed": "0",
        "records in 24 hours": "1,086,420",
        "API credits in 24 hours": "190",
    }
    spenders = [row[0] for row in page.tables[1][1:]]
    assert spenders == [f"customer-{number}" for number in range(19, 11, -1)]


def test_of_more_organisations_than_are_read_at_once_all_are_in_the_table(tmp_path: Path) -> None:
    storage = Storage(tmp_path.as_uri())
    names = [f"customer-{number}" for number in range(1100)]
    for number, name in enumerate(names):
        storage.write(name, json.dumps(figures(records=number)).encode())

    rows = storage.page().organisations()

    assert {name: row["records"] for name, row in rows.items()} == {
        name: f"{number:,}" for number, name in enumerate(names)
    }


def test_what_cannot_be_read_is_named(storage: Storage) -> None:
    storage.write("cut", json.dumps(figures()).encode()[:-9])
    storage.write("deep", b"[" * 50_000)
    storage.write("empty", b"")
    storage.write("first", b"{}", "lease")
    storage.write("latin", b'{"message": "\xe9"}')
    storage.write("list", b"[1]")
    storage.write("long", json.dumps(figures(message="x" * MAX_FIGURES_BYTES)).encode())
    storage.write("sound", json.dumps(figures("another name")).encode())
    storage.fleet.write("organisations/README", b"not an organisation")

    rows = storage.page().organisations()

    again = "The next run replaces it."
    no_object = f"no figures latest.json is not a JSON object. {again}"
    assert {name: row["outcome"] for name, row in rows.items()} == {
        **dict.fromkeys(["cut", "deep", "empty", "latin", "list"], no_object),
        "long": f"no figures latest.json has 65,536 bytes or more. {again}",
        "first": "no run yet No run has ended.",
        "sound": "ok",
    }


def test_every_organisation_that_failed_is_in_the_table(storage: Storage) -> None:
    for outcome in Outcome:
        content = figures(outcome=outcome.value, message=f"Reason of {outcome.name}.")
        storage.write(outcome.name, json.dumps(content).encode())

    rows = storage.page().organisations()

    assert {name: row["outcome"] for name, row in rows.items()} == {
        outcome.name: f"{outcome.value} Reason of {outcome.name}." for outcome in Outcome
    }


def test_a_storage_that_cannot_be_listed_is_an_error(s3: str) -> None:
    options = {"endpoint": s3, "access_key_id": "test", "secret_access_key": "test"}

    with pytest.raises(StorageError, match=r"Could not list organisations in s3://no-such-bucket"):
        [*latest_figures(Folder("s3://no-such-bucket/fleet", None, options))]


def test_figures_that_the_storage_refuses_are_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "organisations" / "acme"
    folder.mkdir(parents=True)
    (folder / "latest.json").symlink_to("latest.json")

    with pytest.raises(StorageError, match=r"Could not read organisations/acme/latest.json in"):
        [*latest_figures(Folder(tmp_path.as_uri(), None))]


def test_an_empty_fleet_has_a_page(storage: Storage) -> None:
    page = storage.page()

    assert "There are no organisations." in page.text
    assert page.tables == []
    assert "script" not in page.tags


def test_what_needs_a_person_comes_first() -> None:
    old = "2026-03-01T00:00:00Z"
    page = shown(
        figures("fine"),
        figures("waits", outcome="try again later"),
        figures("stuck", last_ok=old),
        figures("failed", outcome="failed"),
        figures("failed and late", outcome="failed", last_ok=None),
        figures("refused", outcome="fix first"),
        figures("unheard", outcome="exploded"),
        figures("partly", outcome="some streams failed"),
    )

    assert [*page.organisations()] == [
        *("refused", "unheard", "failed and late", "failed", "partly", "stuck", "waits", "fine")
    ]
    assert page.tiles()["failed"] == "5"
    assert page.tiles()["ok"] == "2"
    assert page.tiles()["late, more than 2 h"] == "2"
    assert dict(page.tables[0][1:])["failed"].split() == ["2", "25.0", "%"]


def test_the_reasons_stand_with_the_outcome() -> None:
    page = shown(
        figures(
            outcome="some streams failed",
            message="2 of 30 streams failed.",
            failed_streams=["Deals", "Quotes"],
            incomplete_streams=[f"m{number}" for number in range(10)],
            retry_after_seconds=600,
        )
    )

    assert page.organisations()["acme"]["outcome"] == (
        "some streams failed 2 of 30 streams failed. Failed: Deals, Quotes"
        " Incomplete: m0, m1, m2, m3, m4, m5, m6, m7 and 2 more"
        " Zoho asks to wait until 2026-03-04 11:41 UTC"
    )


@pytest.mark.parametrize(
    ("last_ok", "shown_as"),
    [
        ("2026-03-04T10:00:00Z", "2 h ago"),
        ("2026-03-04T09:59:59Z", "late 2 h ago"),
        ("2026-03-02T11:30:00+02:00", "late 2 d 2 h ago"),
        ("2027-01-01T00:00:00Z", "0 s ago"),
        (None, "late never"),
        ("soon", "late never"),
    ],
)
def test_late_is_whose_last_success_began_too_long_ago(last_ok: str | None, shown_as: str) -> None:
    # Whatever has failed since then, and although nothing changed in Zoho for a year
    changed = {"outcome": "failed", "newest_bookmark": "2025-03-04T00:00:00Z"}
    for other in ({}, changed):
        page = shown(figures(last_ok=last_ok, **other))
        assert page.organisations()["acme"]["last ok"] == shown_as
        assert page.tiles()["late, more than 2 h"] == f"{shown_as.count('late')}"


@pytest.mark.parametrize(
    ("bookmark", "lag"),
    [("2026-03-02T12:00:00Z", "2 d"), ("2027-01-01T00:00:00Z", "0 s"), (None, "?"), (7, "?")],
)
def test_lag_is_the_age_of_the_newest_bookmark(bookmark: Any, lag: str) -> None:
    row = shown(figures(newest_bookmark=bookmark)).organisations()["acme"]
    assert row["lag"] == lag.replace("?", "\N{EN DASH}")


@pytest.mark.parametrize(
    "began", ["2026-03-04T09:30:00Z", "2026-03-04T11:30:00.250000+02:00", "2026-03-04T09:30:00"]
)
def test_moments_are_those_of_utc(began: str) -> None:
    assert shown(figures(began=began)).organisations()["acme"]["began (UTC)"] == "2026-03-04 09:30"


def test_the_threshold_of_late_is_an_argument() -> None:
    page = shown(figures(), late_after=timedelta(minutes=29))

    assert page.organisations()["acme"]["last ok"] == "late 30 min ago"
    assert page.tiles()["late, more than 29 min"] == "1"


def test_figures_of_an_earlier_day_are_not_those_of_the_last() -> None:
    page = shown(figures("new"), figures("old", began="2026-03-03T11:58:00Z"))

    rows = page.organisations()
    assert rows["new"]["credits in 24 h"] == "1,400"
    assert rows["old"]["credits in 24 h"] == rows["old"]["records in 24 h"] == "0"
    assert page.tiles()["API credits in 24 hours"] == "1,400"
    assert page.tiles()["records in 24 hours"] == "54,321"


def test_columns_sort_by_numbers() -> None:
    page = shown(figures(records=1_234, peak_memory_bytes=None, newest_bookmark=None, last_ok=None))

    assert [key and key.removesuffix(".0") for key in page.keys[1]] == [
        *(None, "1", "Infinity", "-1", "1772623800", "75.4"),
        *("1234", "54321", "350", "1400", "-1"),
    ]


HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}</td>\u202e\u2066\x1b[2J\x00\r\n\u2028\ud800"


def test_hostile_text_is_only_text() -> None:
    hostile = figures(
        HOSTILE, outcome=HOSTILE, message=HOSTILE, failed_streams=[HOSTILE], began=HOSTILE
    )

    html = fleet_page([hostile, figures("a" * 100_000)], now=NOW)

    page = Html(html)
    assert page.tags <= TAGS
    assert not {each for each in page.attributes if each.startswith("on")}
    assert all(line.isprintable() for line in html.split("\n"))
    html.encode()
    escaped = HOSTILE.encode("unicode_escape").decode()
    name, long = sorted(page.organisations(), reverse=True, key=lambda name: "script" in name)
    assert name == escaped
    assert page.organisations()[name]["outcome"] == f"{escaped} {escaped} Failed: {escaped}"
    assert len(long) < 500


def test_the_page_needs_no_network_and_runs_no_other_script() -> None:
    page = shown(figures())

    assert not page.attributes & {"src", "href", "style", "action"}
    assert "url(" not in page.inline["style"]
    assert page.policy.startswith("default-src 'none';")
    for tag, content in page.inline.items():
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in page.policy


NAMES = st.sampled_from(sorted(figures()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=5,
)
MOMENTS = st.builds(
    "{}{}".format,
    st.datetimes().map(datetime.isoformat),
    st.sampled_from(["", "Z", "+14:00", "-12:00"]),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(NAMES, JSON | MOMENTS, max_size=6), max_size=3))
@example([{"began": "0001-01-01T00:00:00+14:00"}])
@example([{"began": "9999-12-31T23:59:59", "seconds": 1e14, "retry_after_seconds": 1e14}])
@example([figures(records=10**400, jobs=float("nan"), credits=-1, seconds=True)])
def test_no_figures_are_a_traceback(rows: list[dict[str, Any]]) -> None:
    html = fleet_page(rows, now=NOW)

    assert all(line.isprintable() for line in html.split("\n"))
    assert Html(html).tags <= TAGS


def test_the_command_writes_the_page_into_storage(storage: Storage) -> None:
    storage.write("acme", json.dumps(figures(outcome="fix first", message="Sign in.")).encode())

    done = page_command("--storage", storage.url)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    page = Html((storage.fleet.read("fleet.html") or b"").decode())
    assert page.organisations()["acme"]["outcome"] == "fix first Sign in."
    if storage.url.startswith("s3:"):
        # So that a browser shows it
        bucket = storage.url.split("/")[2]
        s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        head = s3.head_object(Bucket=bucket, Key="fleet/fleet.html")
        assert head["ContentType"] == "text/html; charset=utf-8"


def test_the_command_writes_the_page_into_a_file(tmp_path: Path) -> None:
    storage = Storage((tmp_path / "storage").as_uri())
    content = figures(last_ok=f"{datetime.now(timezone.utc) - timedelta(hours=7):%FT%TZ}")
    storage.write("acme", json.dumps(content).encode())
    file = tmp_path / "page.html"

    for hours, late in (("6.5", "late 7 h ago"), ("8", "7 h ago")):
        done = page_command("--storage", storage.url, "-o", str(file), "--late-after", hours)

        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert Html(file.read_text()).organisations()["acme"]["last ok"] == late
    assert storage.fleet.read("fleet.html") is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--storage", "ftp://host/fleet"],
            "Error: The storage must be a URL that begins with one of ",
        ),
        (
            ["-o", "{folder}/none/page.html"],
            "Error: Could not open file '{folder}/none/page.html': ",
        ),
        (["-o", "/dev/full"], "Error: [Errno 28] No space left on device"),
        (
            ["--storage", "file://{folder}/file"],
            "Error: The storage file://{folder}/file cannot be",
        ),
        (["--storage", "file://{folder}/fleet"], "Error: Could not read organisations/acme/latest"),
        (["--late-after", "nan"], "Error: "),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: list[str], error: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused = tmp_path / "fleet" / "organisations" / "acme" / "latest.json"
    refused.parent.mkdir(parents=True)
    refused.symlink_to(refused)
    given_arguments = [each.format(folder=tmp_path) for each in arguments]

    done = page_command("--storage", tmp_path.as_uri(), *given_arguments)

    assert done.returncode == 1
    assert done.stderr.startswith(error.format(folder=tmp_path))
    assert done.stderr.count("\n") == 1
