"""BATCH files contain every record by value, in every format, on disk and on S3."""

from __future__ import annotations

import io
import re
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from singer_sdk.helpers._batch import BatchConfig

from local_zoho_crm import Fault, Organisation
from tap_zoho_bulk.emit.batch_files import BatchFiles
from tap_zoho_bulk.exceptions import BatchConfigError, ExitCode
from tests.support.batches import ENCODINGS, check_version, config, files_of, local
from tests.support.singer import entry, select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

PAGE = 30
BUCKET = "warehouse"


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    return Organisation.generate(seed=41, only=["Leads", "Deals"], sizes={"Leads": 75, "Deals": 10})


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda each: "-".join(each.values()))
def test_every_record_by_value_a_file_for_each_page(
    tap: TapCommand,
    serve: Serve,
    organisation: Organisation,
    tmp_path: Path,
    encoding: Json,
) -> None:
    server = serve(organisation, page_size=PAGE)

    run = tap.sync(
        server,
        batch_config={**config(tmp_path / "out"), "encoding": encoding},
        multiselect_separator=";",
    )

    files = files_of(run, "Leads")
    assert [len(records) for records in files] == [30, 30, 15]
    found = {record["id"]: record for records in files for record in records}
    assert found == organisation.truth("Leads", multiselect_separator=";")
    assert not run.of_type("RECORD", "Leads")
    # There are no files but those that the messages name.
    assert len(list((tmp_path / "out").iterdir())) == len(run.of_type("BATCH"))


def test_parquet_types_are_those_of_the_schema(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)

    run = tap.sync(server, batch_config=config(tmp_path, "parquet"), multiselect_separator=";")

    (message,) = run.of_type("BATCH", "Leads")
    found = pq.read_schema(io.BytesIO(local(message["manifest"][0])))
    expected = {
        ("string", None): pa.string(),
        ("string", "date"): pa.date32(),
        ("string", "date-time"): pa.timestamp("us", "UTC"),
        ("integer", None): pa.int64(),
        ("number", None): pa.decimal128(38, 18),
        ("boolean", None): pa.bool_(),
        ("array", None): pa.list_(pa.string()),
    }
    properties = run.schemas["Leads"]["schema"]["properties"]
    for field in found:
        schema = properties[field.name]
        kind = expected[schema["type"][0], schema.get("format")]
        assert field.type.equals(kind) or pa.types.is_list(field.type), field.name
        assert field.nullable == (field.name != "id")
    assert {field.name for field in found} <= set(properties)
    assert {str(field.type) for field in found} >= {"date32[day]", "int64", "bool"}


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_only_selected_fields_are_in_files(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path, file_format: str
) -> None:
    server = serve(organisation)
    wanted = ["id", "Last_Name", "Modified_Time"]
    catalog = select(tap.discover(server), {"Leads": wanted})

    run = tap.sync(server, catalog=catalog, batch_config=config(tmp_path, file_format))

    (records,) = files_of(run, "Leads")
    assert all(sorted(record) == sorted(wanted) for record in records)
    assert len(records) == len(organisation.truth("Leads"))


def test_a_file_holds_no_more_than_batch_size(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation, page_size=PAGE)

    run = tap.sync(server, batch_config={**config(tmp_path), "batch_size": 20})

    assert [len(records) for records in files_of(run, "Leads")] == [20, 10, 20, 10, 15]


def test_state_moves_on_after_the_batch_of_a_page(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation, page_size=PAGE)
    catalog = select(tap.discover(server), {"Leads": None})

    run = tap.sync(server, catalog=catalog, batch_config=config(tmp_path))

    files = 0
    for message in run.messages:
        if message["type"] == "BATCH":
            files += len(message["manifest"])
        elif message["type"] == "STATE":
            leads = message["value"].get("bookmarks", {}).get("Leads", {})
            assert leads.get("bulk_read", {"page": 1})["page"] <= files + 1
            assert "replication_key_value" not in leads or files == 3
    assert files == 3
    assert "replication_key_value" in run.bookmark("Leads")


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_a_damaged_page_leaves_no_file(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path, file_format: str
) -> None:
    server = serve(organisation)
    server.faults.add(Fault(kind="ragged_row", module="Leads"))
    folder, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()

    run = tap.sync(
        server,
        batch_config=config(folder, file_format),
        environment={"TMPDIR": str(temporary)},
    )

    found = [record for records in files_of(run, "Leads") for record in records]
    assert {record["id"]: record for record in found} == organisation.truth("Leads")
    assert len(list(folder.iterdir())) == len(run.of_type("BATCH"))
    assert not list(temporary.iterdir())


def test_a_full_tables_batches_have_its_version(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    catalog = select(tap.discover(server), {"Leads": None})
    entry(catalog, "Leads")["replication_method"] = "FULL_TABLE"

    run = tap.sync(
        server,
        catalog=catalog,
        batch_config=config(tmp_path),
        emit_activate_version_messages=True,
    )

    check_version(run, "Leads")


def test_a_number_too_long_for_parquet_fails_its_stream(
    tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    organisation = Organisation.generate(seed=42, only=["Deals"], sizes={"Deals": 3})
    deal = next(iter(organisation.module("Deals").records.values()))
    organisation.update("Deals", deal["id"], Amount=Decimal("0.1234567890123456789"))

    run = tap.run(serve(organisation), batch_config=config(tmp_path, "parquet"))

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert "Amount" in run.stderr
    assert "jsonl" in run.stderr
    assert not run.of_type("BATCH", "Deals")


def test_batches_and_stream_maps_do_not_go_together(
    tap: TapCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)

    run = tap.run(
        server,
        batch_config=config(tmp_path),
        stream_maps={"Leads": {"Last_Name": "Last_Name.upper()"}},
        modules=["Leads"],
    )

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert "batch_config" in run.stderr
    assert not server.jobs


@pytest.mark.parametrize(
    "wrong",
    [
        {"encoding": {"format": "csv", "compression": "none"}},
        {"batch_size": 0},
        {"storage": {"root": "nowhere://folder"}},
    ],
)
def test_a_wrong_setting_is_named_before_any_job(
    tap: TapCommand,
    serve: Serve,
    organisation: Organisation,
    tmp_path: Path,
    wrong: Json,
) -> None:
    server = serve(organisation)

    run = tap.run(server, batch_config={**config(tmp_path), **wrong})

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "batch_config" in run.stderr
    assert next(iter(wrong)) in run.stderr
    assert not server.jobs


@pytest.mark.parametrize(
    ("extra", "package", "root"),
    [("parquet", "pyarrow", "file:///tmp/files"), ("s3", "s3fs", "s3://bucket/files")],
)
def test_a_missing_extra_is_installed_from_the_checkout(
    monkeypatch: pytest.MonkeyPatch, extra: str, package: str, root: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # As if it were not installed.
    file_format = "parquet" if extra == "parquet" else "jsonl"
    encoding = {"format": file_format, "compression": "none"}
    batch_config = BatchConfig.from_dict({"encoding": encoding, "storage": {"root": root}})

    with pytest.raises(BatchConfigError) as raised:
        BatchFiles("Leads", {"type": "object"}, ["id"], batch_config)

    # Anybody could register a bare name at a package index.
    assert re.findall(r"pip install '(.*?)'", str(raised.value)) == [
        f"/path/to/tap-zoho-bulk[{extra}]"
    ]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Run a local S3 server, and yield its URL."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - not there at lowest versions

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda each: "-".join(each.values()))
def test_files_on_s3_hold_every_record(
    tap: TapCommand,
    serve: Serve,
    organisation: Organisation,
    s3: str,
    encoding: Json,
) -> None:
    import boto3  # noqa: PLC0415 - comes with moto

    key = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **key)
    client.create_bucket(Bucket=BUCKET)
    server = serve(organisation, page_size=PAGE)
    run = tap.sync(
        server,
        batch_config={
            "encoding": encoding,
            "storage": {"root": f"s3://{BUCKET}/{'-'.join(encoding.values())}"},
        },
        environment={
            **{name.upper(): value for name, value in key.items()},
            "AWS_ENDPOINT_URL": s3,
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    )

    def read(url: str) -> bytes:
        bucket, _, name = url.removeprefix("s3://").partition("/")
        content: bytes = client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return content

    files = files_of(run, "Leads", read)
    assert [len(records) for records in files] == [30, 30, 15]
    found = {record["id"]: record for records in files for record in records}
    assert found == organisation.truth("Leads")
