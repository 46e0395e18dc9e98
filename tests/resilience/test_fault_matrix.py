"""Every fault at every endpoint, once and always: all data, or an error with advice.

The cases are the product of the lists below. Each runs the tap's command line at full debug
logging. It also checks that no secret is printed, and that no file remains.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from local_zoho_crm import Fault, ZohoServer
from tests.resilience.forks import NAMED_ERRORS
from tests.resilience.trap import Trap
from tests.support.organisations import QUICK, small_organisation
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_zoho_crm import Organisation
    from tests.resilience.forks import Ended, TapForks

AT_ONCE = 12
PAGE_SIZE = 4
SIZES = {"Orders": 10, "Rooms": 3}
DELETED = 3
MAX_RETRIES = 1

Span = Literal["once", "for good"]
SPANS: tuple[Span, ...] = ("once", "for good")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint at which faults happen.

    Attributes:
        names: What an error about it must name.
        flags: Command line flags that reach it.
    """

    name: str
    method: str
    path: str
    skip: int = 0
    names: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


# Chains run one after another (see `max_concurrent_jobs`), so the second job has a page token.
ENDPOINTS = (
    Endpoint("token", "POST", r"^/oauth/v2/token$"),
    Endpoint("org", "GET", r"/org$", names=("organisation",), flags=("--test",)),
    Endpoint("modules", "GET", r"/settings/modules$", names=("modules",)),
    Endpoint("fields", "GET", r"/settings/fields$", names=("Orders|Rooms",)),
    Endpoint("create", "POST", r"/read$", names=("Orders", "page 1")),
    Endpoint(
        "continuation", "POST", r"/read$", skip=1, names=("Orders", r"page [12]")
    ),  # a chain that restarts may be refused its page 1
    Endpoint("status", "GET", r"/read/\d+$", names=("Orders", r"job \d+", "page 1")),
    Endpoint("result", "GET", r"/result$", names=("Orders", r"job \d+", "page 1")),
    Endpoint("deleted", "GET", r"/deleted$", names=("deleted", "Orders")),
)
BULK = tuple(each for each in ENDPOINTS if each.name in ("create", "continuation"))


@dataclass(frozen=True)
class Trouble:
    """A kind of fault.

    Attributes:
        make: Creates the fault.
        transient: Whether the tap should retry.
        names: What an error about it must name: Zoho's code, or what happened.
        at: The endpoints at which it can happen; all if empty.
    """

    name: str
    make: Callable[..., Fault]
    transient: bool = True
    names: tuple[str, ...] = ()
    at: tuple[str, ...] = field(default=())


def error(code: str) -> dict[str, Any]:
    return {"code": code, "details": {}, "message": f"about {code}", "status": "error"}


def _soon() -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=1), usegmt=True)


def answer(
    name: str, status: int, body: Any = b"", headers: dict[str, str] | None = None, **trouble: Any
) -> Trouble:
    """Create the trouble of a response; an error about it names Zoho's code, or the status."""
    code = body["code"] if isinstance(body, dict) and "code" in body else f"HTTP {status}"
    make = partial(Fault, status=status, body=body, headers=headers or {})
    return Trouble(name, make, **{"names": (code,), **trouble})


HTML = "<html><body>Bad Gateway</body></html>"
JSON = {"Content-Type": "application/json"}
FILE_OR_JSON = ("create", "continuation", "status", "result", "deleted", "modules", "fields", "org")
TROUBLES = (
    answer("500", 500, error("INTERNAL_ERROR")),
    answer("500 without a body", 500),
    answer("502 as HTML", 502, HTML),
    answer("503 as JSON", 503, error("SERVICE_UNAVAILABLE")),
    answer("504 as HTML", 504, HTML),
    answer("429", 429, error("TOO_MANY_REQUESTS")),
    answer("429 without a body", 429),
    answer("429, wait seconds", 429, error("TOO_MANY_REQUESTS"), headers={"Retry-After": "1"}),
    Trouble(
        "429, wait until a date",
        lambda **where: Fault(
            status=429,
            body=error("TOO_MANY_REQUESTS"),
            headers={"Retry-After": _soon()},
            **where,
        ),
        names=("TOO_MANY_REQUESTS",),
    ),
    answer("TOO_MANY_REQUESTS in a 200", 200, error("TOO_MANY_REQUESTS")),
    answer("TOO_MANY_REQUESTS in a 400", 400, error("TOO_MANY_REQUESTS")),
    answer(
        "TOO_MANY_REQUESTS inside data",
        400,
        {"data": [error("TOO_MANY_REQUESTS")]},
        names=("TOO_MANY_REQUESTS",),
        at=FILE_OR_JSON,
    ),
    answer("HTML in a 200", 200, HTML, names=()),
    answer("empty body", 200, b"", names=(), headers=JSON),
    answer("a JSON list", 200, b"[]", names=(), headers=JSON),
    answer("an empty JSON object", 200, b"{}", names=(), headers=JSON),
    answer("another JSON object", 200, b'{"nothing": 1}', names=(), headers=JSON),
    answer("half a JSON object", 200, b'{"data": [{"id": "57', names=(), headers=JSON),
    answer("no JSON at all", 200, b"\xff\xfe\x00", names=(), headers=JSON),
    Trouble("connection reset", partial(Fault, kind="reset"), names=("connection failed",)),
    Trouble("answer lost", partial(Fault, kind="lost"), names=("connection failed",)),
    Trouble("no answer in time", partial(Fault, kind="delay", seconds=2.5), names=("in time",)),
    Trouble("cut short", partial(Fault, kind="truncate")),
    Trouble("corrupt", partial(Fault, kind="corrupt"), names=("damaged",), at=("result",)),
    Trouble("result gone, 400", partial(Fault, kind="vanish"), names=("gone",), at=("result",)),
    Trouble("job gone, 404", partial(Fault, kind="vanish", status=404), at=("status", "result")),
    answer("token died", 401, error("INVALID_TOKEN"), names=("data_center",), at=FILE_OR_JSON),
    answer(
        "not signed in",
        401,
        error("AUTHENTICATION_FAILURE"),
        names=("data_center",),
        at=FILE_OR_JSON,
    ),
    answer("missing scope", 401, error("OAUTH_SCOPE_MISMATCH"), transient=False, at=FILE_OR_JSON),
    answer("no permission", 403, error("NO_PERMISSION"), transient=False, at=FILE_OR_JSON),
    answer("refused", 400, error("INVALID_REQUEST"), transient=False, at=FILE_OR_JSON),
    answer("refused in a 200", 200, error("INVALID_REQUEST"), transient=False, at=FILE_OR_JSON),
    answer("bad refresh token", 200, {"error": "invalid_code"}, transient=False, at=("token",)),
    answer("bad client", 400, {"error": "invalid_client"}, transient=False, at=("token",)),
    Trouble("redirect", partial(Fault, kind="redirect"), transient=False, names=("HTTP_302",)),
    Trouble("job FAILURE", partial(Fault, kind="job_failure"), names=("INTERNAL_SERVER_ERROR",)),
    Trouble("job stuck", partial(Fault, kind="job_stuck"), names=("IN PROGRESS",)),
    Trouble("job in a state unheard of", partial(Fault, kind="job_state"), names=("PAUSED",)),
    Trouble("count too high", partial(Fault, kind="count_off_by", off_by=1), names=("rows",)),
    Trouble("count too low", partial(Fault, kind="count_off_by", off_by=-1), names=("rows",)),
    Trouble("column missing", partial(Fault, kind="drop_column"), names=("lacks",)),
    Trouble("row too short", partial(Fault, kind="ragged_row"), names=("cells",)),
)


@dataclass(frozen=True)
class Case:
    """A trouble at an endpoint."""

    trouble: Trouble
    endpoint: Endpoint
    span: Span

    def __str__(self) -> str:
        return f"{self.trouble.name} at {self.endpoint.name}, {self.span}"

    def fault(self, elsewhere: str) -> Fault:
        """Create the fault; a redirect leads to `elsewhere`."""
        fault = self.trouble.make(
            method=self.endpoint.method,
            path=self.endpoint.path,
            skip=self.endpoint.skip,
            times=1 if self.span == "once" else None,
        )
        fault.location = elsewhere
        if fault.is_for_jobs:
            fault.module = "Orders"
        return fault


def cases() -> Iterator[Case]:
    for trouble, endpoint, span in product(TROUBLES, ENDPOINTS, SPANS):
        of_a_job = trouble.make().is_for_jobs
        if endpoint not in BULK if of_a_job else trouble.at and endpoint.name not in trouble.at:
            continue
        yield Case(trouble, endpoint, span)


class Play:
    """Plays one case: a run with the fault, and a run after it."""

    def __init__(self, forks: TapForks, case: Case) -> None:
        self.case = case
        self.organisation = organisation()
        self.target = UpsertingTarget()
        self._forks = forks
        self._spool = tempfile.TemporaryDirectory(prefix="spool-")
        self._printed = b""

    def run(self, server: ZohoServer, flags: tuple[str, ...] = ()) -> Ended:
        """Run the tap once, from the last STATE, at full debug logging."""

        def take(line: bytes) -> bool:
            self._printed += line
            if not flags:
                self.target.take(line)
            return True

        config = server.tap_config(
            **{
                **QUICK,
                "max_retries": MAX_RETRIES,
                "max_concurrent_jobs": 1,
                "max_concurrent_requests": 2,
                "request_timeout_seconds": 2,
                "job_timeout_seconds": 1,
                "spool_directory": self._spool.name,
            }
        )
        environment = {"LOGLEVEL": "DEBUG", "TAP_ZOHO_BULK_LOGLEVEL": "DEBUG"}
        ended = self._forks.start(
            config, *flags, state=self.target.state, environment=environment
        ).read_lines(take)
        self._check_nothing_got_out(server, ended.stderr)
        return ended

    def _check_nothing_got_out(self, server: ZohoServer, stderr: str) -> None:
        said = stderr + self._printed.decode() + json.dumps(self.target.state)
        for secret in server.secrets:
            assert secret not in said, f"a secret got out: {secret}"
        assert not list(Path(self._spool.name).iterdir())

    def play(self) -> str:
        """Play the case, check it, and return its outcome."""
        case = self.case
        options = {"page_size": PAGE_SIZE, "tokens_per_ten_minutes": None}
        with (
            self._spool,
            Trap() as trap,
            ZohoServer(self.organisation, **options) as server,  # type: ignore[arg-type]
        ):
            fault = case.fault(trap.url + "/crm/bulk/v8/read/1/result")
            server.faults.add(fault)
            ended = self.run(server, case.endpoint.flags)
            assert fault.hits, "the fault did not happen"
            assert not trap.received
            if not case.trouble.transient:
                self._check_not_repeated(server, fault)
            if ended.exit_code == 0:
                outcome = self._check_success(ended)
            else:
                self._check_error(ended)
                self._check_nothing_lost(server)
                outcome = "named error"
            if case.trouble.transient:
                wanted = {"all data"} if case.span == "once" else {"named error"}
                if case.span == "for good" and "no list of fields" in ended.stderr:
                    wanted = {
                        "said to be skipped"
                    }  # An unexpected response affects only its module.
                assert outcome in wanted, f"{outcome}\n{ended.stderr[-3000:]}"
            return outcome

    def _check_success(self, ended: Ended) -> str:
        """Check that all data arrived, or that a log line says which module was skipped."""
        if self.case.endpoint.flags:
            return "all data"
        missing = [name for name in SIZES if name not in self.target.streams]
        for name in missing:
            assert f"Skipping the module {name}" in ended.stderr
            assert self.case.endpoint.name == "fields"
        self._check_whole(set(SIZES) - set(missing))
        if not missing and len(self.target.rows("deleted_records")) != DELETED:
            # Zoho responded that it keeps no list of deleted records.
            assert "Zoho keeps no list of deleted records of Orders" in ended.stderr
            assert self.case.endpoint.name == "deleted"
            return "said to be skipped"
        return "said to be skipped" if missing else "all data"

    def _check_whole(self, streams: set[str]) -> None:
        assert self.target.state is not None
        for stream in streams:
            truth = self.organisation.truth(stream)
            assert self.target.by_id(stream) == truth, stream
            bookmark = self.target.state["bookmarks"][stream]
            assert set(bookmark) == {"replication_key", "replication_key_value"}

    def _check_error(self, ended: Ended) -> None:
        """Check that the error names what it should, and comes without a traceback."""
        assert ended.exit_code in NAMED_ERRORS
        errors = "\n".join(line for line in ended.stderr.split("\n") if "| ERROR" in line)
        wanted = [*self.case.trouble.names]
        if self.case.endpoint.name != "token":
            wanted += self.case.endpoint.names
        for name in wanted:
            assert re.search(name, errors), f"no {name!r} in:\n{ended.stderr[-3000:]}"
        assert re.search(ADVICE, errors), f"no advice in:\n{errors}"
        level = ""
        for line in ended.stderr.split("\n"):
            level = " ".join(re.findall(r"^\d[^|]+\| (\w+) +\|", line)) or level
            assert not line.startswith("Traceback") or level == "DEBUG", ended.stderr

    def _check_nothing_lost(self, server: ZohoServer) -> None:
        """Check that failed streams kept their bookmarks, and that the next run succeeds."""
        bookmarks = (self.target.state or {"bookmarks": {}})["bookmarks"]
        for stream in SIZES:
            if self.target.by_id(stream) != self.organisation.truth(stream):
                assert "replication_key_value" not in bookmarks.get(stream, {}), stream
        server.faults.clear()
        ended = self.run(server)
        assert ended.exit_code == 0, ended.stderr
        self._check_whole(set(SIZES))
        assert len(self.target.rows("deleted_records")) == DELETED

    def _check_not_repeated(self, server: ZohoServer, fault: Fault) -> None:
        """Check that a permanent refusal is not retried."""
        endpoint = self.case.endpoint
        asked = server.requests_matching(endpoint.method, endpoint.path)
        counts = Counter((each.path, str(each.query), each.body) for each in asked)
        refused = max(counts.values())
        # A page token is tried when the job is created ahead, and when its turn comes.
        most = 2 if endpoint.name in ("token", "continuation") else 1
        if not (fault.times == 1 and endpoint.name == "continuation"):
            assert refused <= most, counts


ADVICE = (
    r"Try again later|max_retries|Check|Create a new|Grant this|Raise `|Copy `|Wait |"
    r"Look up the code|discover the catalog"
)


def organisation() -> Organisation:
    made = small_organisation(SIZES)
    for _ in range(DELETED):
        (record_id,) = made.insert("Orders")
        made.delete("Orders", record_id)
    return made


def play(forks: TapForks, case: Case) -> tuple[Case, str, str]:
    """Play a case, and return its outcome and what is wrong."""
    try:
        return case, Play(forks, case).play(), ""
    except AssertionError as error:
        return case, "WRONG", f"{case}: {error}"


@pytest.mark.timeout(600)
def test_every_fault_at_every_endpoint(forks: TapForks) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        played = list(pool.map(partial(play, forks), cases()))

    outcomes = Counter((case.span, outcome) for case, outcome, _ in played)
    print(f"\n{len(played)} cases: {dict(outcomes)}")
    wrong = [what for _, _, what in played if what]
    assert not wrong, f"{len(wrong)} cases are wrong:\n" + "\n\n".join(wrong)
    assert len(played) > 400


def test_the_matrix_leaves_nothing_out() -> None:
    """Each endpoint has all faults that can happen there."""
    met = Counter(case.endpoint.name for case in cases())

    assert set(met) == {each.name for each in ENDPOINTS}
    assert min(met.values()) >= 2 * 20
    assert {case.trouble.name for case in cases()} == {each.name for each in TROUBLES}
