"""Invalid responses, CSVs and ZIPs raise only the tap's own errors."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_zoho_bulk.api import client as api_client
from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.bulk_read.archive import Archive
from tap_zoho_bulk.bulk_read.download import Downloader
from tap_zoho_bulk.bulk_read.job import BulkReadJobs
from tap_zoho_bulk.bulk_read.page import JobRef, JobResult, Page
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.catalog.discovery import discover_modules
from tap_zoho_bulk.decode.csv_page import CsvDecoder
from tap_zoho_bulk.decode.invalid_values import InvalidValues
from tap_zoho_bulk.exceptions import TapZohoBulkError
from tap_zoho_bulk.reporting.spending import Spending
from tap_zoho_bulk.settings import Settings
from tap_zoho_bulk.tap import TapZohoBulk
from tests.resilience.conftest import SCALE
from tests.support.organisations import catalog, small_organisation
from tests.support.transport import FakeTransport, response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from requests import Request, Response

CONFIG = {
    "client_id": "1000.CLIENT",
    "client_secret": "the-client-secret",
    "refresh_token": "the-refresh-token",
    "accounts_url": "http://127.0.0.1:9",
    "api_url": "http://127.0.0.1:9",
    "max_retries": 0,
    "poll_interval_seconds": 0.0001,
    "max_poll_interval_seconds": 0.0001,
    "job_timeout_seconds": 0.0005,
}
TOKEN = {"access_token": "the-access-token", "expires_in": 3600, "api_domain": "https://x.example"}
often = settings(
    max_examples=400 * SCALE,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module", autouse=True)
def without_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_client, "RENEWAL_PAUSES_SECONDS", (0.0,))
        yield


def client_that_gets(respond: Callable[[str], Response]) -> ZohoClient:
    """Return a client that gets its responses from a function of the URL."""

    def respond_with_token(request: Request) -> Response:
        url = str(request.url)
        return response(json.dumps(TOKEN).encode()) if "/oauth/" in url else respond(url)

    return ZohoClient(Settings.from_config(CONFIG), transport=FakeTransport(respond_with_token))


# Unexpected JSON values

odd_text = st.text(st.characters(), max_size=12) | st.sampled_from(
    [
        "",
        "\ud800",
        "\x00",
        "a\r\nb: c",
        "../..",
        "//evil.example/x",
        "http://[",
        "?",
        "%",
        "é" * 300,
    ]
)
odd_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 10**400, 2**63])
    | st.floats(allow_nan=True)
    | odd_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
    max_leaves=6,
)
statuses = st.sampled_from([200, 200, 200, 200, 201, 202, 204, 304, 400, 401, 403, 404, 429, 500])
retry_after = st.sampled_from(["", "0", "1", "-1", "9" * 400, "Thu, 99 Foo 2026"]) | odd_text


@st.composite
def near(draw: st.DrawFn, meant: Any) -> Any:
    """Return a JSON value that differs from the intended one in up to three places."""
    value = {"": deepcopy(meant)}
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = value
        key: Any = ""
        while isinstance(holder[key], (dict, list)) and holder[key] and draw(st.booleans()):
            holder = holder[key]
            key = draw(
                st.sampled_from(sorted(holder))
                if isinstance(holder, dict)
                else st.integers(0, len(holder) - 1)
            )
        if isinstance(holder, dict) and key and draw(st.booleans()):
            del holder[key]
            if not holder:
                break
        else:
            holder[key] = draw(odd_json)
        if "" not in value:
            break
    return value.get("")


@st.composite
def answers(draw: st.DrawFn, meant: Any) -> Callable[[], Response]:
    """Return a response that is similar to the intended one, or is not JSON at all."""
    body = draw(
        near(meant).map(lambda value: json.dumps(value).encode())
        | st.binary(max_size=30)
        | st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"\xef\xbb\xbf{}"])
    )
    status = draw(statuses)
    headers = {"Retry-After": draw(retry_after), "Content-Type": draw(odd_text)}
    return lambda: response(body, status, **headers)


MODULES: dict[str, Any] = {
    "modules": [
        {"api_name": "Deals", "api_supported": True, "generated_type": "default"},
        {"api_name": "Rooms", "api_supported": True, "generated_type": "custom"},
    ]
}
FIELDS: dict[str, Any] = {
    "fields": [
        {"api_name": "id", "data_type": "bigint", "field_label": "Id"},
        {"api_name": "Modified_Time", "data_type": "datetime", "field_label": "Modified"},
        {"api_name": "Total", "data_type": "formula", "formula": {"return_type": "double"}},
        {
            "api_name": "Account",
            "data_type": "lookup",
            "lookup": {"module": {"api_name": "Deals", "id": "1"}},
        },
    ]
}
CREATED = {
    "data": [
        {
            "status": "success",
            "code": "ADDED_SUCCESSFULLY",
            "details": {"id": "57", "created_time": "2026-01-01T00:00:00+00:00"},
        }
    ]
}
COMPLETED = {
    "data": [
        {
            "id": "57",
            "state": "COMPLETED",
            "result": {
                "page": 1,
                "count": 2,
                "download_url": "/crm/bulk/v8/read/57/result",
                "more_records": True,
                "next_page_token": "t",
            },
        }
    ]
}
FAILED = {
    "data": [{"state": "FAILURE", "result": {"error_message": {"code": "X", "message": "y"}}}]
}
REFUSED = {"data": [{"status": "error", "code": "X", "message": "y", "details": {"api_name": "Z"}}]}
DELETED = {
    "data": [
        {
            "id": "5",
            "display_name": "a",
            "type": "recycle",
            "deleted_time": "2026-01-01T00:00:00+00:00",
            "deleted_by": {"id": "1", "name": "b"},
            "created_by": None,
        }
    ],
    "info": {"more_records": False},
}


@often
@given(modules=answers(MODULES) | answers(REFUSED), fields=answers(FIELDS) | answers(REFUSED))
def test_metadata(modules: Callable[[], Response], fields: Callable[[], Response]) -> None:
    def metadata(url: str) -> Response:
        return modules() if url.endswith("/modules") else fields()

    with suppress(TapZohoBulkError):
        for module in discover_modules(client_that_gets(metadata), Settings.from_config(CONFIG)):
            json.dumps(module.schema)


@often
@given(token=answers(TOKEN) | answers({"error": "invalid_code"}))
def test_a_token(token: Callable[[], Response]) -> None:
    def respond(request: Request) -> Response:
        if "/oauth/" in str(request.url):
            return token()
        # A token must be valid in a header.
        request.headers["Authorization"].encode("ascii")
        assert request.headers["Authorization"].isprintable()
        return response(b'{"org": []}')

    client = ZohoClient(Settings.from_config(CONFIG), transport=FakeTransport(respond))
    with suppress(TapZohoBulkError):
        client.get(ApiRequest("/crm/v8/org", what="ask", scope="any"))


@often
@given(
    created=answers(CREATED) | answers(REFUSED),
    status=answers(COMPLETED) | answers(FAILED) | answers(REFUSED),
    result=answers(REFUSED),
)
def test_a_job(
    created: Callable[[], Response], status: Callable[[], Response], result: Callable[[], Response]
) -> None:
    def bulk(url: str) -> Response:
        if url.endswith("/read"):
            return created()
        return result() if "result" in url else status()

    client = client_that_gets(bulk)
    query = BulkReadQuery("Deals", ())
    jobs = BulkReadJobs(client, Downloader(client, None), Settings.from_config(CONFIG), Spending())
    job_id = "57"
    with suppress(TapZohoBulkError):
        job_id = jobs.create(query, 1, {}).id
    job_id.encode()  # It becomes a part of URLs, and of STATE.
    with suppress(TapZohoBulkError):
        job = JobRef("Deals", 1, job_id)
        found = jobs.wait(query, job)
        json.dumps(vars(found)).encode()
        jobs.download(job, found).close()


@often
@given(listed=answers(DELETED) | answers(REFUSED))
def test_deleted_records(listed: Callable[[], Response]) -> None:
    organisation = small_organisation({"Deals": 0})
    tap = TapZohoBulk(
        config=CONFIG, catalog=catalog(organisation, deleted=True), validate_config=False
    )
    tap.run.client = client_that_gets(lambda _: listed())
    stream = tap.streams["deleted_records"]

    with suppress(TapZohoBulkError):
        json.dumps(list(stream.get_records({"module": "Deals"})))
    for failure in tap.run.summary.failures.values():
        assert isinstance(failure, TapZohoBulkError), repr(failure)


def test_a_list_without_end_is_an_error() -> None:
    answer = {**DELETED, "info": {"more_records": True}}
    tap = TapZohoBulk(
        config=CONFIG,
        catalog=catalog(small_organisation({"Deals": 0}), deleted=True),
        validate_config=False,
    )
    tap.run.client = client_that_gets(lambda _: response(json.dumps(answer).encode()))

    list(tap.streams["deleted_records"].get_records({"module": "Deals"}))

    (failure,) = tap.run.summary.failures.values()
    assert isinstance(failure, TapZohoBulkError)
    assert "page 2" in str(failure)


@pytest.mark.parametrize("odd", [[], {}, [{}], 7, None, True, "\ud800"])
@pytest.mark.parametrize("key", ["api_name", "api_supported", "generated_type"])
def test_a_module_whose_metadata_is_odd_costs_at_most_itself(key: str, odd: Any) -> None:
    modules = deepcopy(MODULES)
    modules["modules"][0][key] = odd
    client = client_that_gets(
        lambda url: response(json.dumps(modules if url.endswith("/modules") else FIELDS).encode())
    )

    found = discover_modules(client, Settings.from_config(CONFIG))

    assert "Rooms" in [module.api_name for module in found]
    json.dumps([module.schema for module in found], ensure_ascii=False).encode()


@pytest.mark.parametrize("odd", [[], {}, [{}], 7, None, True, "\ud800"])
@pytest.mark.parametrize(
    ("field", "key"),
    [
        *((field, key) for field in (1, 2, 3) for key in ("api_name", "data_type", "field_label")),
        (2, "formula"),
        (3, "lookup"),
    ],
)
def test_a_field_whose_metadata_is_odd_costs_at_most_itself(field: int, key: str, odd: Any) -> None:
    fields: Any = deepcopy(FIELDS)
    fields["fields"][field][key] = odd
    client = client_that_gets(
        lambda url: response(json.dumps(MODULES if url.endswith("/modules") else fields).encode())
    )

    found = discover_modules(client, Settings.from_config(CONFIG))

    others = {each["api_name"] for each in FIELDS["fields"]} - {FIELDS["fields"][field]["api_name"]}
    for module in found:
        assert others <= module.schema["properties"].keys()
    assert len(found) == 2
    json.dumps([module.schema for module in found], ensure_ascii=False).encode()


SCHEMA: dict[str, Any] = {
    "properties": {
        "id": {"type": ["string"]},
        "Count": {"type": ["integer", "null"]},
        "Amount": {"type": ["number", "null"]},
        "Open": {"type": ["boolean", "null"]},
        "Day": {"type": ["string", "null"], "format": "date"},
        "Modified_Time": {"type": ["string", "null"], "format": "date-time"},
        "Tags": {"type": ["array", "null"], "items": {"type": ["string"]}},
        "Name": {"type": ["string", "null"]},
    }
}
NAMES = [name for name in SCHEMA["properties"] if name != "id"]
GOOD_CSV = (
    f"Id,{','.join(NAMES)}\r\n"
    '1,5,1.50,true,2024-02-29,2024-02-29T10:00:00-08:00,a;b,"x, ""y""\r\nz"\r\n'
    "2,,,,,,,\r\n"
).encode()


def records_of(file: bytes, *, count: int = 2, null_if_invalid: bool = False) -> list[Any]:
    """Return the records of a ZIP, valid or not."""
    result = JobResult(count, "/", more_records=False, next_page_token=None)
    job = JobRef("Deals", 1, "57")
    page = Page(job, result, Archive(str(job), io.BytesIO(file), len(file)))
    decoder = CsvDecoder(
        SCHEMA,
        {name: name for name in NAMES},
        multiselect_separator=";",
        invalid=InvalidValues(become_null=null_if_invalid),
    )
    try:
        return list(decoder.records(page))
    finally:
        page.close()


def zipped(csv: bytes, name: str = "57.csv") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, csv)
    return file.getvalue()


def test_what_the_damage_is_done_to_is_whole() -> None:
    first, second = records_of(zipped(GOOD_CSV))

    assert first["Name"] == 'x, "y"\r\nz'
    assert first["Tags"] == ["a", "b"]
    assert second == {"id": "2", **dict.fromkeys(NAMES)}


pieces = st.sampled_from(
    [b",", b'"', b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"Id"]
) | st.binary(max_size=8)


@often
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(GOOD_CSV)), st.integers(0, 20), pieces), max_size=4
    ),
    count=st.integers(0, 4),
    null_if_invalid=st.booleans(),
)
def test_a_csv(changes: list[tuple[int, int, bytes]], count: int, *, null_if_invalid: bool) -> None:
    csv = GOOD_CSV
    for at, length, piece in changes:
        csv = csv[:at] + piece + csv[at + length :]
    with suppress(TapZohoBulkError):
        records = records_of(zipped(csv), count=count, null_if_invalid=null_if_invalid)
        assert len(records) == count
        for record in records:
            json.dumps(record, default=str).encode()
            assert record["id"]


cells = {
    "Count": st.integers().map(str) | st.sampled_from(["1" * 5000, "+5.", "\u0663", "1_0", " 1"]),
    "Amount": st.floats().map(str) | st.sampled_from(["1e9999", "1e99999", "-.5", "0x1", "\u0663"]),
    "Day": st.sampled_from(["2024-02-30", "0000-01-01", "9999-12-31", "2024-01-\u0660\u0661"]),
    "Modified_Time": st.sampled_from(
        ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2024-W01", "2024-01-01"]
    ),
}


@often
@given(
    name=st.sampled_from(NAMES),
    cell=st.one_of(*cells.values()) | odd_text,
    null_if_invalid=st.booleans(),
)
def test_a_cell(name: str, cell: str, *, null_if_invalid: bool) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    row = ",".join(quoted if each == name else "" for each in NAMES)
    csv = f"Id,{','.join(NAMES)}\r\n7,{row}\r\n".encode("utf-8", "surrogatepass")
    with suppress(TapZohoBulkError):
        (record,) = records_of(zipped(csv), count=1, null_if_invalid=null_if_invalid)
        json.dumps(record, default=str).encode()


GOOD_ZIP = zipped(GOOD_CSV)


@often
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(GOOD_ZIP) - 1), st.binary(min_size=1, max_size=6)),
        min_size=1,
        max_size=4,
    ),
    cut=st.integers(0, len(GOOD_ZIP)) | st.none(),
)
def test_a_zip(changes: list[tuple[int, bytes]], cut: int | None) -> None:
    """Bytes of a ZIP are changed, or its end is missing: records still read are correct."""
    file = GOOD_ZIP
    for at, piece in changes:
        file = file[:at] + piece + file[at + len(piece) :]
    file = file[:cut]
    with suppress(TapZohoBulkError):
        assert records_of(file) == records_of(GOOD_ZIP)


@often
@given(st.binary(max_size=200))
def test_no_zip_at_all(file: bytes) -> None:
    with pytest.raises(TapZohoBulkError):
        records_of(file)


ENTRY = struct.Struct("<4sHHHHHHLLLHHHHHLL")


@often
@given(
    st.lists(
        st.tuples(*[st.integers(0, 0xFFFF)] * 6, *[st.integers(0, 0xFFFFFFFF)] * 3), max_size=3
    ),
    st.integers(0, 0xFFFF),
)
def test_a_directory_of_a_zip(entries: list[tuple[int, ...]], count: int) -> None:
    directory = b"".join(
        ENTRY.pack(b"PK\x01\x02", *numbers[:6], *numbers[6:9], 6, 0, 0, 0, 0, 0, numbers[8] & 0xFF)
        + b"57.csv"
        for numbers in entries
    )
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count, len(directory), 0, 0)
    with pytest.raises(TapZohoBulkError):
        records_of(directory + end)
