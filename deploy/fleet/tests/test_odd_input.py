"""Odd files, settings and programs end a run with a message that says what to do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import pytest

from zoho_bulk_fleet import Fleet, Organisation, Outcome, run
from zoho_bulk_fleet.state import newest_bookmark

if TYPE_CHECKING:
    from zoho_bulk_fleet import Result

PROGRAM = (sys.executable, "-IS", "-c")
"""A command that starts quickly, as a tap or a loader that is not ours."""
READ = "import sys; sys.stdin.read();"
STATE = {"bookmarks": {"Leads": {"replication_key_value": "2026-01-02T03:04:05+00:00"}}}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return a fleet whose organisation has a catalog, and whose tap prints nothing."""
    fleet = Fleet(tmp_path.as_uri(), tap=(*PROGRAM, ""))
    put(fleet, "catalog.json", b'{"streams": []}')
    return fleet


def put(fleet: Fleet, path: str, content: bytes) -> Path:
    file = Path(urlparse(fleet.storage).path) / "organisations" / "acme" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def run_of(fleet: Fleet, *, tap: str = "", loader: str = "", **options: Any) -> Result:
    """Run with programs of Python."""
    organisation = Organisation(
        "acme",
        options.pop("settings", {}),
        loader=(*PROGRAM, loader) if loader else (),
        **options,
    )
    return run(organisation, Fleet(fleet.storage, tap=(*PROGRAM, tap)))


def test_a_catalog_that_is_not_json_is_not_replaced_by_a_discovered_one(fleet: Fleet) -> None:
    put(fleet, "catalog.json", b'{"streams": [')

    result = run_of(fleet)

    assert result.outcome is Outcome.FIX_FIRST
    assert "catalog.json" in result.message


@pytest.mark.parametrize("kept", [{}, []])
def test_what_another_version_discovered_is_discovered_again(fleet: Fleet, kept: Any) -> None:
    put(fleet, "catalog.json", b"").unlink()
    discovered = put(fleet, "discovered.json", json.dumps(kept).encode())

    run_of(fleet, tap="import sys; print({} if '--discover' in sys.argv else '')")

    assert json.loads(discovered.read_bytes())["catalog"] == {}


def test_a_discovery_that_prints_no_catalog_fails(fleet: Fleet) -> None:
    put(fleet, "catalog.json", b"").unlink()

    result = run_of(fleet, tap="print('hello')")

    assert result.outcome is Outcome.FAILED
    assert "catalog is not JSON" in result.message


def test_odd_figures_are_skipped(fleet: Fleet) -> None:
    for number, odd in enumerate([b"[]", b"3", b"{", b'{"began": "2026"}', b'{"began": 1}']):
        put(fleet, f"figures/{datetime.now(timezone.utc):%Y-%m-%d}/00000{number}-1.json", odd)
    put(fleet, "latest.json", b"[]")

    result = run_of(fleet, credits_per_day=100, tap="import sys; sys.exit(1)")

    assert result.outcome is Outcome.FAILED
    assert result.figures["credits_24h"] == 0
    assert result.figures["last_ok"] is None


def test_an_odd_state_is_the_taps_to_refuse(fleet: Fleet) -> None:
    put(fleet, "state/000000000000.json", b'{"bookmarks": []}')

    result = run_of(fleet, tap="import sys; sys.exit(78)", loader=READ)

    assert result.outcome is Outcome.FIX_FIRST
    oddities: list[Any] = [[], {"Leads": 1}, {"Leads": {"replication_key_value": 3}}, 1, None]
    for odd in oddities:
        assert newest_bookmark({"bookmarks": odd}) is None


def test_a_line_of_a_loader_that_is_not_a_state_is_skipped(fleet: Fleet) -> None:
    odd = ["hello", "null", "[]", "3", "", json.dumps(STATE)[:9]]
    loader = f"{READ} print({json.dumps(STATE)!r}, *{odd}, sep=chr(10))"

    result = run_of(fleet, loader=loader)

    assert result.outcome is Outcome.OK
    assert result.figures["newest_bookmark"] == "2026-01-02T03:04:05+00:00"


def test_a_loader_that_prints_no_state_is_a_persons_to_fix(fleet: Fleet) -> None:
    ended = {"kind": "run_ended", "records": 3}
    entry = {"extra": {"sync_event": ended}, "message": "Run ended.", "level": "info"}
    tap = f"import sys; print({json.dumps(entry)!r}, file=sys.stderr)"

    without = run_of(fleet, tap=tap, loader=READ)
    with_state = run_of(fleet, tap=tap, loader=f"{READ} print({json.dumps(STATE)!r})")
    again = run_of(fleet, tap=tap, loader=f"{READ} print({json.dumps(STATE)!r})")

    assert without.outcome is Outcome.FIX_FIRST
    assert "STATE" in without.message
    assert [with_state.outcome, again.outcome] == [Outcome.OK, Outcome.OK]


@pytest.mark.parametrize("line", ["hello", "[]", "{}"])
def test_an_odd_line_of_a_tap_fails_without_a_loader(fleet: Fleet, line: str) -> None:
    result = run_of(fleet, tap=f"print({line!r})")

    assert result.outcome is Outcome.FAILED
    assert result.message.startswith("The tap ")
    assert result.figures["message"] == result.message


def test_odd_lines_of_a_log_are_passed_on(fleet: Fleet) -> None:
    odd = ["3", '{"extra": {"sync_event": 3}, "message": 1, "level": "info"}']

    result = run_of(fleet, tap=f"import sys; print(*{odd}, sep=chr(10), file=sys.stderr)")

    assert result.outcome is Outcome.OK


PRINT_SETTINGS = """
import json, sys
with open(sys.argv[sys.argv.index("--config") + 1]) as file:
    settings = json.load(file)
print(json.dumps(settings), file=sys.stderr)
sys.exit(78)
"""


def test_the_first_error_and_the_longest_wait_are_the_message(fleet: Fleet) -> None:
    entries = [
        {"message": "the cause\nin two lines", "level": "error", "extra": {}},
        {"message": "what follows", "level": "error", "extra": {}},
        *(
            {
                "message": "",
                "level": "info",
                "extra": {"sync_event": {"kind": "wait_refused", "seconds": seconds}},
            }
            for seconds in (30, 900, 60)
        ),
    ]
    lines = [json.dumps(each) for each in entries]

    result = run_of(
        fleet, tap=f"import sys; print(*{lines}, sep=chr(10), file=sys.stderr); sys.exit(75)"
    )

    assert result.outcome is Outcome.TRY_AGAIN_LATER
    assert result.message == "the cause in two lines"
    assert result.retry_after_seconds == 900


def test_a_log_that_repeats_itself_is_cut(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoho_bulk_fleet.tap_log._MAX_LOG_BYTES", 100)

    run_of(fleet, tap="import sys; [print('x' * 49, file=sys.stderr) for _ in range(99)]")

    (log,) = tmp_path.glob("organisations/acme/logs/*/*.gz")
    assert len(gzip.decompress(log.read_bytes())) == 100


def settings_of(result: Result) -> Any:
    """Return the settings that a tap was started with."""
    return json.loads(result.message)


@pytest.mark.parametrize("batches", [[], None, {"storage": {"prefix": "x"}}])
def test_any_batch_config_reaches_the_tap(fleet: Fleet, batches: Any) -> None:
    result = run_of(fleet, tap=PRINT_SETTINGS, settings={"batch_config": batches})

    given = settings_of(result)["batch_config"]
    if isinstance(batches, dict):
        assert given["storage"]["root"].startswith(fleet.storage)
        assert given["storage"].get("prefix") == (batches["storage"] or {}).get("prefix")
    else:
        assert given == batches


def test_files_go_where_the_user_wants_them(fleet: Fleet) -> None:
    batches = {"storage": {"root": "file:///elsewhere"}}

    result = run_of(fleet, tap=PRINT_SETTINGS, settings={"batch_config": batches})

    assert settings_of(result)["batch_config"] == batches


@pytest.mark.parametrize(("limit", "expected"), [(None, 70), (20, 20), (900, 70), ("900", "900")])
def test_the_lower_limit_of_credits_counts(fleet: Fleet, limit: Any, expected: Any) -> None:
    settings = {} if limit is None else {"api_credit_limit": limit}

    result = run_of(fleet, tap=PRINT_SETTINGS, settings=settings, credits_per_day=70)

    assert settings_of(result)["api_credit_limit"] == expected


def test_a_run_that_ended_in_the_day_counts(fleet: Fleet) -> None:
    """Also if it began more than a day ago, and on the day before that one."""
    now = datetime.now(timezone.utc)
    for hours, duration, spent in ((25, 2, 3), (48, 25, 400), (36, 2, 50)):
        began = now - timedelta(hours=hours)
        figures = {
            "began": began.isoformat(),
            "seconds": duration * 3600,
            "credits": spent,
            "records": 1,
        }
        path = f"figures/{began:%Y-%m-%d/%H%M%S}-000000000000.json"
        put(fleet, path, json.dumps(figures).encode())

    assert run_of(fleet).figures["credits_24h"] == 403


def test_what_a_discovery_spends_counts(fleet: Fleet) -> None:
    put(fleet, "catalog.json", b"").unlink()
    event = {"kind": "discovery_ended", "credits": 30}
    spent = {"message": "", "level": "info", "extra": {"sync_event": event}}
    tap = f"""
import sys
if "--discover" in sys.argv:
    print({json.dumps(spent)!r}, file=sys.stderr)
    print("{{}}")
    sys.exit()
{PRINT_SETTINGS}"""

    result = run_of(fleet, tap=tap, credits_per_day=70)
    assert settings_of(result)["api_credit_limit"] == 40
    assert result.figures["credits"] == 30

    put(fleet, "discovered.json", b"")
    result = run_of(fleet, tap=tap, credits_per_day=50)
    assert result.outcome is Outcome.INCOMPLETE
    assert result.figures["credits_24h"] == 60


def test_a_program_that_prints_its_settings_reveals_no_secret(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a loader does that reports a wrong setting with all others."""
    caplog.set_level("INFO")
    settings = {"refresh_token": "hush-1", "modules": ["Leads"]}
    loader_settings = {
        "password": 'hush-2"\\',
        "ssh_tunnel": {"private_key": "hush-'3\nhush-3"},
        "url": "postgresql://me:hush-4@warehouse/crm",
        "token": "",
    }
    show = """
import json, sys
with open(sys.argv[sys.argv.index("--config") + 1]) as file:
    settings = json.load(file)
print(json.dumps(settings), settings, *settings.values(), "the end", file=sys.stderr)
sys.exit(1)
"""

    result = run_of(
        fleet, tap=show, loader=show, settings=settings, loader_settings=loader_settings
    )

    assert result.outcome is Outcome.FAILED
    assert "postgresql://me:***@warehouse" in caplog.text
    assert "the end" in result.message
    (log,) = tmp_path.glob("organisations/acme/logs/*/*.gz")
    kept = [file.read_bytes() for file in tmp_path.rglob("*.json")]
    for text in (caplog.text.encode(), gzip.decompress(log.read_bytes()), *kept):
        assert b"hush" not in text


@pytest.mark.parametrize(
    "url",
    ["memory://", "/srv/fleet", "fleet", "https://me:secret@dav.example.com", "ftp://secret/"],
)
def test_storage_that_cannot_keep_a_lease(url: str) -> None:
    with pytest.raises(ValueError, match="must be a URL") as raised:
        run(Organisation("acme", {}), Fleet(url, tap=(*PROGRAM, "")))

    assert "secret" not in str(raised.value)


def test_an_option_that_storage_does_not_have() -> None:
    with pytest.raises(ValueError, match="nonsense") as raised:
        run(
            Organisation("acme", {}),
            Fleet("s3://bucket", {"nonsense": 1, "secret_access_key": "hush"}, (*PROGRAM, "")),
        )

    assert "\n" not in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ([], "must be an object"),
        ({"name": "acme"}, "needs settings"),
        ({"name": "../acme", "settings": {}}, "letters"),
        ({"name": 3, "settings": {}}, "letters"),
        ({"name": "acme", "settings": []}, "must be an object"),
        ({"name": "acme", "settings": {}, "loader": None}, "must be a list"),
        ({"name": "acme", "settings": {}, "loader": 3}, "must be a list"),
        ({"name": "acme", "settings": {}, "loader": "target"}, "must be a list"),
        ({"name": "acme", "settings": {}, "credits_per_day": "9"}, "credits_per_day"),
        ({"name": "acme", "settings": {}, "secret": 9}, "has no secret"),
        ({"name": "acme", "settings": {"a": {3}}}, "cannot be JSON"),
    ],
)
def test_an_organisation_that_is_described_wrongly(described: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Organisation.from_json(described)


@pytest.mark.parametrize("described", [b"{", b"[]", b"\xff", b'{"name": "acme", "settings": 1}'])
def test_a_wrong_file_is_a_persons_to_fix(fleet: Fleet, described: bytes) -> None:
    command = [sys.executable, "-m", "zoho_bulk_fleet", "run", "--storage", fleet.storage, "-"]

    ended = subprocess.run(command, input=described, capture_output=True, check=False)

    assert ended.returncode == Outcome.FIX_FIRST.exit_code
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "options",
    [{"tap": "tap-zoho-bulk"}, {"tap": ()}]
    + [{"lease_seconds": odd} for odd in (0, -1, float("nan"), float("inf"), "60")],
)
def test_a_fleet_that_is_described_wrongly(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        Fleet("file:///srv/zoho", **options)
