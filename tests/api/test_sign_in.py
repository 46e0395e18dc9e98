"""Signing in: the right hosts, helpful errors, timely renewals, and no leaked secrets."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from local_zoho_crm import Fault, Organisation, invalid_token
from local_zoho_crm.faults import error_body
from local_zoho_crm.oauth import DEFAULT_SCOPES
from tap_zoho_bulk.api.auth import ZohoAuthenticator
from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.api.transport import Transport
from tap_zoho_bulk.crm.scopes import BULK_WRITE_SCOPE, SCOPE_TEXT
from tap_zoho_bulk.exceptions import ExitCode, MissingScopeError, SignInError, StoppedError
from tap_zoho_bulk.settings import Settings
from tests.support.clock import FakeClock
from tests.support.singer import FAST
from tests.support.transport import FakeTransport, response

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

SECRETS = {"client_id": "1000.ID", "client_secret": "s3cret", "refresh_token": "1000.r3fresh"}
HOSTS = {
    "us": ("accounts.zoho.com", "zohoapis.com"),
    "eu": ("accounts.zoho.eu", "zohoapis.eu"),
    "in": ("accounts.zoho.in", "zohoapis.in"),
    "au": ("accounts.zoho.com.au", "zohoapis.com.au"),
    "jp": ("accounts.zoho.jp", "zohoapis.jp"),
    "ca": ("accounts.zohocloud.ca", "zohoapis.ca"),
    "cn": ("accounts.zoho.com.cn", "zohoapis.com.cn"),
    "sa": ("accounts.zoho.sa", "zohoapis.sa"),
    "uk": ("accounts.zoho.uk", "zohoapis.uk"),
    "ae": ("accounts.zoho.ae", "zohoapis.ae"),
}
PREFIXES = {"production": "www", "sandbox": "sandbox", "developer": "developer"}


class AccountsHost(FakeTransport):
    """Responds like an accounts host, and keeps the requests."""

    def __init__(self, **answer: Any) -> None:
        super().__init__(self._token)
        self.answer: Json = {"access_token": "1000.acc3ss", "expires_in": 3600, **answer}
        self.asked: list[tuple[Any, Any, Any]] = []

    def _token(self, request: requests.Request) -> requests.Response:
        self.asked.append((request.method, request.url, request.data))
        return response(json.dumps(self.answer).encode())


def sign_in(host: AccountsHost, **settings: Any) -> str:
    """Sign in, and return the URL of the API host."""
    config = Settings.from_config({**SECRETS, **settings})
    token, api_url = ZohoAuthenticator(config, host).access()
    assert token == "1000.acc3ss"
    return api_url


@pytest.mark.parametrize("environment", PREFIXES)
@pytest.mark.parametrize("data_center", HOSTS)
def test_data_center_and_environment_choose_the_hosts(data_center: str, environment: str) -> None:
    accounts, api = HOSTS[data_center]
    host = AccountsHost()

    api_url = sign_in(host, data_center=data_center, environment=environment)

    assert api_url == f"https://{PREFIXES[environment]}.{api}"
    form = {"grant_type": "refresh_token", **SECRETS}
    assert host.asked == [("POST", f"https://{accounts}/oauth/v2/token", form)]


@pytest.mark.parametrize(
    ("api_domain", "expected"),
    [
        ("https://www.zohoapis.eu", "https://www.zohoapis.eu"),
        ("https://www.zohoapis.com.au/", "https://www.zohoapis.com.au"),
        ("https://www.zohoapis.com", "https://www.zohoapis.com"),
        ("http://www.zohoapis.eu", "https://www.zohoapis.com"),
        ("https://www.zohoapis.eu:8443", "https://www.zohoapis.com"),
        ("https://www.zohoapis.eu.evil.example", "https://www.zohoapis.com"),
        ("https://evil.example/www.zohoapis.eu", "https://www.zohoapis.com"),
        ("https://www.zohoapis.eu@evil.example", "https://www.zohoapis.com"),
        ("https://evil.zohoapis.eu", "https://www.zohoapis.com"),
        ("https://[", "https://www.zohoapis.com"),
        ("//", "https://www.zohoapis.com"),
        (5, "https://www.zohoapis.com"),
        (None, "https://www.zohoapis.com"),
    ],
)
def test_only_zohos_own_hosts_are_taken_from_the_answer(api_domain: Any, expected: str) -> None:
    assert sign_in(AccountsHost(api_domain=api_domain)) == expected


def test_the_environment_stays_when_the_answer_names_another_domain() -> None:
    host = AccountsHost(api_domain="https://www.zohoapis.eu")

    assert sign_in(host, environment="sandbox") == "https://sandbox.zohoapis.eu"


def test_client_credentials_need_no_refresh_token(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    config = server.tap_config(**FAST, soid=str(organisation.company["zgid"]))
    del config["refresh_token"]

    run = tap.finish(tap.start(config), server)

    assert run.exit_code == 0, run.stderr
    assert run.by_id("Tasks") == organisation.truth("Tasks")
    (asked,) = server.requests_matching("POST", "/oauth/v2/token")
    form = dict(parse_qsl(asked.body.decode()))
    assert form["grant_type"] == "client_credentials"
    assert form["soid"] == f"ZohoCRM.{config['soid']}"
    assert form["scope"] == SCOPE_TEXT


def test_client_credentials_of_another_organisation_are_refused(
    tap: TapCommand, server: ZohoServer
) -> None:
    config = server.tap_config(**FAST, soid="ZohoCRM.1", bulk_write_job_ids=["1"])
    del config["refresh_token"]

    run = tap.finish(tap.start(config, "--test"), server)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("`soid`")
    (asked,) = server.requests_matching("POST", "/oauth/v2/token")
    form = dict(parse_qsl(asked.body.decode()))
    assert form["scope"] == f"{SCOPE_TEXT},{BULK_WRITE_SCOPE}"


@pytest.mark.parametrize("flags", [(), ("--test",)])
def test_a_scope_that_client_credentials_lack_asks_for_no_refresh_token(
    tap: TapCommand, serve: Serve, organisation: Organisation, flags: tuple[str, ...]
) -> None:
    missing = "ZohoCRM.bulk.READ"
    server = serve(organisation, scopes=DEFAULT_SCOPES - {missing})
    config = server.tap_config(**FAST, soid=str(organisation.company["zgid"]))
    del config["refresh_token"]

    run = tap.finish(tap.start(config, *flags), server)

    assert run.exit_code
    lines = [line for line in run.stderr.splitlines() if missing in line]
    assert lines
    assert all("with `soid`" in line and "API console" in line for line in lines)
    assert "efresh token" not in run.stderr
    assert "ign in again" not in run.stderr


def test_a_refresh_token_that_later_ones_displaced_is_told(
    tap: TapCommand, server: ZohoServer
) -> None:
    for _ in range(20):
        server.desk.grant()

    run = tap.run(server, "--test")

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("invalid_code", "latest 20")


def test_an_account_of_a_vertical_crm_is_read_at_its_own_hosts(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    """They are at `https://{name}.zohoplatform.com`, and in no table."""
    server = serve(organisation, api_domain="https://www.zohoapis.com")
    accounts, api = f"localhost:{server.port}", f"127.0.0.1:{server.port}"
    urls = {"accounts_url": f"http://{accounts}", "api_url": f"http://{api}"}

    run = tap.sync(server, **urls)

    assert run.by_id("Tasks") == organisation.truth("Tasks")
    hosts = {(each.path.split("/")[1], each.headers["host"]) for each in server.requests}
    assert hosts == {("oauth", accounts), ("crm", api)}


def test_set_urls_win_over_everything() -> None:
    host = AccountsHost(api_domain="https://www.zohoapis.eu")
    urls = {"accounts_url": "http://127.0.0.1:1/", "api_url": "http://127.0.0.1:2/"}

    assert sign_in(host, **urls, data_center="jp") == "http://127.0.0.1:2"
    ((_, url, _),) = host.asked
    assert url == "http://127.0.0.1:1/oauth/v2/token"


@pytest.mark.parametrize(
    ("expires_in", "good_for", "stale_after"),
    [
        (3600, 3299, 3301),  # five minutes before its end
        (600, 299, 301),
        (60, 29, 31),  # never stale when it is new
        ("3600", 3299, 3301),
        ("soon", 3299, 3301),  # Zoho documents an hour
        (-1, 3299, 3301),
        (None, 3299, 3301),
    ],
)
def test_a_token_is_renewed_before_it_expires(
    expires_in: Any, good_for: int, stale_after: int
) -> None:
    clock = FakeClock(1000.0)
    host = AccountsHost(expires_in=expires_in)
    authenticator = ZohoAuthenticator(Settings.from_config(SECRETS), host, clock=clock.monotonic)
    authenticator.access()

    clock.now = 1000.0 + good_for
    authenticator.access()
    assert len(host.asked) == 1

    clock.now = 1000.0 + stale_after
    authenticator.access()
    assert len(host.asked) == 2


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(only=["Deals", "Tasks"])


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation, page_size=4)


def sign_ins(server: ZohoServer) -> int:
    return len(server.requests_matching("POST", "/oauth/v2/token"))


def test_threads_share_one_renewal(server: ZohoServer) -> None:
    settings = Settings.from_config(server.tap_config(**FAST))
    client = ZohoClient(settings)
    transport = Transport(timeout=5, max_retries=0, max_concurrent_requests=10)
    authenticator = ZohoAuthenticator(settings, transport)
    together = threading.Barrier(8)

    def access(rejected: str | None) -> str:
        together.wait()
        token, _ = authenticator.access(rejected=rejected)
        return token

    with ThreadPoolExecutor(8) as pool:
        (first,) = set(pool.map(access, [None] * 8))
        (second,) = set(pool.map(access, [first] * 8))
    transport.close()
    client.close()

    assert first != second
    assert sign_ins(server) == 2


def test_a_token_that_is_refused_is_renewed_and_the_request_repeated_once(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    once = iter([server.forget_tokens])

    def forget(request: LoggedRequest) -> None:
        if request.path.endswith("/result"):
            next(once, lambda: None)()

    server.on_request = forget
    run = tap.sync(server)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert run.by_id("Tasks") == organisation.truth("Tasks")
    assert sign_ins(server) == 2
    assert any(request.status == 401 for request in server.requests)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(server: ZohoServer, clock: FakeClock) -> Iterator[ZohoClient]:
    """Return a client whose pauses end at once."""
    transport = Transport(timeout=5, max_retries=0, max_concurrent_requests=1)
    transport.stop = clock
    made = ZohoClient(Settings.from_config(server.tap_config(**FAST)), transport=transport)
    yield made
    made.close()


ORG = ApiRequest("/crm/v8/org", what="ask for the organisation", scope="ZohoCRM.org.READ")


@pytest.mark.parametrize("code", ["INVALID_TOKEN", "INVALID_OAUTHTOKEN", "AUTHENTICATION_FAILURE"])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_a_refused_token_is_told_by_its_code_at_any_status(
    client: ZohoClient, server: ZohoServer, status: int, code: str
) -> None:
    server.faults.add(Fault(status=status, body=error_body(code), path="^/crm/"))

    assert client.get(ORG)
    assert sign_ins(server) == 2


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_a_new_token_may_be_refused_too(
    client: ZohoClient, server: ZohoServer, clock: FakeClock, refused: int
) -> None:
    """As if another program obtained so many tokens that Zoho dropped each new one."""
    server.faults.add(invalid_token(path="^/crm/", times=refused))

    assert client.get(ORG)
    assert sign_ins(server) == 1 + refused
    assert clock.waits == [0.0, 2.0, 10.0][:refused]


def test_tokens_that_are_all_refused_end_the_run(client: ZohoClient, server: ZohoServer) -> None:
    server.faults.add(invalid_token(path="^/crm/", times=None))

    with pytest.raises(SignInError) as raised:
        client.get(ORG)

    for advice in ("3 new access tokens", "organisation", "`data_center`", "another program"):
        assert advice in str(raised.value)
    assert sign_ins(server) == 4
    assert len(server.requests_matching("GET", "^/crm/")) == 4


def test_a_run_that_shuts_down_waits_for_no_new_token(
    client: ZohoClient, server: ZohoServer, clock: FakeClock
) -> None:
    server.faults.add(invalid_token(path="^/crm/", times=None))
    clock.stop_after = 2

    with pytest.raises(StoppedError):
        client.get(ORG)

    assert sign_ins(server) == 2


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_a_missing_scope_is_named_at_any_status(
    client: ZohoClient, server: ZohoServer, status: int
) -> None:
    body = error_body("OAUTH_SCOPE_MISMATCH")
    server.faults.add(Fault(status=status, body=body, path="^/crm/", times=None))

    with pytest.raises(MissingScopeError, match=r"scopes include ZohoCRM\.org\.READ"):
        client.get(ORG)

    assert sign_ins(server) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (408, {}),
        (429, {}),
        (503, {}),
        (200, {"code": "INTERNAL_ERROR"}),
        (400, {"code": "TOO_MANY_REQUESTS"}),
    ],
)
def test_a_token_request_is_retried_as_any_other(
    server: ZohoServer, status: int, body: Json
) -> None:
    fault = Fault(status=status, body=body, headers={"Retry-After": "0"}, path="^/oauth/")
    server.faults.add(fault)
    transport = Transport(timeout=5, max_retries=1, max_concurrent_requests=1)
    settings = Settings.from_config(server.tap_config(**FAST))

    assert ZohoAuthenticator(settings, transport).access()
    transport.close()

    assert fault.hits == 1


@pytest.mark.parametrize(
    ("wrong", "code", "advice"),
    [
        ({"refresh_token": "1000.wr0ng"}, "invalid_code", "refresh token"),
        ({"client_id": "1000.WR0NG"}, "invalid_client", "`client_id`"),
        ({"client_secret": "wr0ng"}, "invalid_client", "`client_id`"),
    ],
)
def test_wrong_credentials_are_told_in_words_that_help(
    tap: TapCommand, server: ZohoServer, wrong: Json, code: str, advice: str
) -> None:
    run = tap.run(server, **wrong)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line(code, advice)
    assert "Traceback" not in run.stderr
    assert "wr0ng" not in run.stderr.lower()
    assert not run.stdout
    assert len(server.requests) == 1


def test_too_many_sign_ins_are_told_apart(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, tokens_per_ten_minutes=0)

    run = tap.run(server)

    assert run.exit_code == ExitCode.TRY_AGAIN_LATER
    assert run.line("Access Denied")
    assert sign_ins(server) == 1


@pytest.mark.parametrize(
    ("missing", "flags"),
    [
        ("ZohoCRM.settings.modules.READ", ()),
        ("ZohoCRM.settings.fields.READ", ()),
        ("ZohoCRM.bulk.READ", ()),
        ("ZohoCRM.modules.ALL", ()),
        ("ZohoCRM.org.READ", ("--test",)),
    ],
)
def test_a_missing_scope_is_named(
    tap: TapCommand, serve: Serve, organisation: Organisation, missing: str, flags: tuple[str, ...]
) -> None:
    scopes = {
        "ZohoCRM.bulk.READ",
        "ZohoCRM.modules.ALL",
        "ZohoCRM.settings.modules.READ",
        "ZohoCRM.settings.fields.READ",
        "ZohoCRM.org.READ",
    }
    server = serve(organisation, scopes=scopes - {missing})

    run = tap.run(server, *flags)

    some_streams = missing == "ZohoCRM.bulk.READ"
    code = ExitCode.STREAMS_FAILED if some_streams else ExitCode.FIX_FIRST
    assert run.exit_code == code
    assert "OAUTH_SCOPE_MISMATCH" in run.stderr
    assert [line for line in run.stderr.splitlines() if "| ERROR " in line and missing in line]
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_no_secret_is_ever_printed(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, level: str
) -> None:
    """`TapCommand` checks for secrets after every run; here the tap logs as much as it can."""
    server.faults.add(
        Fault(kind="reset", path="/settings/modules"),
        Fault(status=500, path=r"/read$", headers={"Retry-After": "0"}),
        invalid_token(path="/result$"),
    )

    run = tap.sync(server, environment={"TAP_ZOHO_BULK_LOGLEVEL": level})

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert ("DEBUG" in run.stderr) == (level == "DEBUG")
    assert len(server.secrets) > 3
    assert server.tap_config()["client_id"] not in run.stderr


def test_the_token_goes_to_no_other_host_whatever_download_url_says(
    tap: TapCommand, serve: Serve, server: ZohoServer, organisation: Organisation
) -> None:
    elsewhere = serve(Organisation())
    location = f"{elsewhere.url}/crm/bulk/v8/read/{{job_id}}/result"
    server.faults.add(Fault(kind="download_url", location=location, times=None))

    run = tap.sync(server)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert not elsewhere.requests


def test_a_redirect_is_not_followed(tap: TapCommand, serve: Serve, server: ZohoServer) -> None:
    elsewhere = serve(Organisation())
    server.faults.add(
        Fault(kind="redirect", path="/result$", location=elsewhere.url, times=None),
    )

    run = tap.run(server)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.line("Deals", "HTTP_30")
    assert not elsewhere.requests
    assert not run.of_type("RECORD")


def test_an_api_domain_of_strangers_gets_no_token(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    elsewhere = serve(Organisation())
    server = serve(organisation, api_domain=elsewhere.url)

    run = tap.sync(server)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert not elsewhere.requests
