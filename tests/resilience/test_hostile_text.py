"""What Zoho says reaches the terminal, the log and the report as printable text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import CustomView, Fault, ZohoServer
from tap_zoho_bulk.exceptions import ExitCode
from tests.support import structured_log
from tests.support.hostile_text import check_lines, hostile
from tests.support.login import ended
from tests.support.organisations import QUICK, catalog, small_module, small_organisation
from tests.support.report_page import report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_zoho_crm import Organisation
    from tests.conftest import Login
    from tests.resilience.forks import TapForks

MODULES = ("Orders", "Rooms", "Tables", "Visits")


def error(name: str) -> dict[str, Any]:
    """Return the body of an error of which every part is hostile."""
    parts = {part: hostile(f"{part} of {name}") for part in ("code", "message")}
    return {**parts, "details": {hostile("key"): hostile("value")}, "status": "error"}


@pytest.fixture
def organisation() -> Organisation:
    created = small_organisation(dict.fromkeys(MODULES, 2))
    created.company |= {"company_name": hostile("company"), "time_zone": hostile("zone")}
    created.add_module(small_module(hostile("module")))
    views = created.modules["Rooms"].custom_views
    views.append(CustomView(id=created.new_id(), name=hostile("view")))
    return created


@pytest.fixture
def server(organisation: Organisation) -> Iterator[ZohoServer]:
    with ZohoServer(organisation) as started:
        yield started


def strings(value: Any) -> Iterator[str]:
    """Yield all text in a JSON value, but the source lines of tracebacks."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            if key != "traceback":
                yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


def test_nothing_that_zoho_says_reaches_a_log_as_it_is(
    forks: TapForks, server: ZohoServer, tmp_path: Path
) -> None:
    for fault in (
        Fault(kind="job_failure", module="Orders", times=None, error=error("job")),
        Fault(kind="job_state", module="Visits", times=None, state=hostile("state")),
        Fault(path="/Tables/deleted$", times=None, status=403, body=error("request")),
    ):
        server.faults.add(fault)
    config = server.tap_config(
        **QUICK,
        job_timeout_seconds=0.2,
        module_options={"Rooms": {"custom_view": "another"}},
    )

    environment = structured_log.environment(tmp_path)
    run = forks.start(config, environment=environment).read_lines(lambda _: True)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    check_lines(run.stderr)
    log = (tmp_path / structured_log.NAME).read_bytes()
    texts = [text for line in log.splitlines() for text in strings(json.loads(line))]
    for text in texts:
        assert text.isprintable(), repr(text)
    for name in ("code of job", "message of request", "state", "view", "module"):
        assert f"{name}:\\x1b" in run.stderr, name
        assert f"{name}:\\x1b" in "\n".join(texts), name


def test_the_connection_test_names_the_company_in_printable_text(
    forks: TapForks, server: ZohoServer
) -> None:
    run = forks.start(server.tap_config(**QUICK), "--test").read_lines(lambda _: True)

    assert run.exit_code == 0
    check_lines(run.stderr)
    assert "company:\\x1b" in run.stderr


def test_errors_of_the_command_line_are_printable(
    forks: TapForks, server: ZohoServer, tmp_path: Path
) -> None:
    file = tmp_path / hostile("file").replace("/", "")
    file.write_text("[]")
    config = server.tap_config(**QUICK)

    run = forks.start(config, "--state", str(file)).read_lines(lambda _: True)

    assert run.exit_code == 2
    check_lines(run.stderr)
    assert "Usage:" in run.stderr.split("\n", maxsplit=1)[0]
    assert "file:\\x1b" in run.stderr


def test_a_catalog_cannot_name_a_path_as_a_module(forks: TapForks, server: ZohoServer) -> None:
    given = catalog(server.organisation)
    given["streams"][0]["tap_stream_id"] = "../../oauth/v2/token"

    run = forks.start(server.tap_config(**QUICK), catalog=given).read_lines(lambda _: True)

    assert run.exit_code == ExitCode.FIX_FIRST
    (why,) = [line for line in run.stderr.splitlines() if "| INFO " not in line]
    assert "'../../oauth/v2/token'" in why
    assert "`tap_stream_id`" in why
    assert not server.requests


def test_the_login_shows_printable_text(login: Login, server: ZohoServer) -> None:
    code = server.desk.authorization_code()
    server.faults.add(Fault(status=400, path="/oauth/v2/token", body={"error": hostile("error")}))

    run = ended(server, login(server, "--code", "-", stdin=code))

    assert run.exit_code == ExitCode.FIX_FIRST
    check_lines(run.shown)
    assert "error:\\x1b" in run.shown


def test_the_report_of_any_log_is_printable() -> None:
    kinds: list[dict[str, Any]] = [
        {"kind": "run_began", "version": hostile("version")},
        {"kind": "streams_selected", "names": [hostile("selected")]},
        {"kind": "job_created", "stream": hostile("stream"), "job_id": hostile("id"), "page": 1},
        {"kind": "limit_waited_for", "limit": hostile("limit"), "seconds": 2},
        {"kind": "stream_ended", "stream": hostile("stream"), "outcome": hostile("outcome")},
        {"kind": "run_ended", "outcome": hostile("ended")},
    ]
    events = [
        {"run": hostile(run), "at": at, **each}
        for run in ("one", "two")
        for at, each in enumerate(kinds)
    ]
    lines = [
        {"logger_name": "tap-zoho-bulk", "level": "error", "message": hostile("error")}
        | {"extra": {"sync_event": each}}
        for each in events
    ]

    done = report(log="\n".join(map(json.dumps, lines)).encode())

    assert done.returncode == 0, done.stderr
    for text in (done.stdout.decode(), done.stderr.decode()):
        check_lines(text)
    for name in ("version", "selected", "stream", "limit", "outcome", "ended", "error", "two"):
        assert f"{name}:\\x1b" in done.stdout.decode(), name
    assert "one:\\x1b" in done.stderr.decode()
