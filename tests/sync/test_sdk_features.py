"""Stream maps, flattening and BATCH files work as the SDK documents them."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from local_zoho_crm import Organisation
from tests.support.singer import SingerChecker, as_full_table, parse

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(
        seed=91, only=["Deals", "Leads"], sizes={"Deals": 25, "Leads": 45}, awkward=0.2
    )


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation, page_size=20)


def test_stream_maps_add_change_remove_and_filter(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    maps = {
        "Deals": {
            "Shouted": "Deal_Name.upper()",
            "Email": "__NULL__",
            "Description": "__NULL__",
            "__filter__": "record['Stage'] == 'Closed Won'",
        },
        "Leads": None,
    }

    run = tap.sync(server, stream_maps=maps)

    truth = organisation.truth("Deals")
    won = {key for key, record in truth.items() if record["Stage"] == "Closed Won"}
    found = run.by_id("Deals")
    assert found.keys() == won
    assert won
    for key, record in found.items():
        assert record["Shouted"] == truth[key]["Deal_Name"].upper()
        assert "Description" not in record
        assert record["Amount"] == truth[key]["Amount"]
    assert not run.records("Leads")
    latest = max(record["Modified_Time"] for record in truth.values())
    # Records that a map leaves out were still read.
    assert run.bookmark("Deals")["replication_key_value"] == latest


def test_a_stream_map_renames_a_stream(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    run = tap.sync(server, modules=["Deals"], stream_maps={"Deals": {"__alias__": "opportunities"}})

    assert run.by_id("opportunities") == organisation.truth("Deals")
    assert not run.records("Deals")
    assert "Deals" in run.state["bookmarks"]


def test_a_stream_map_hides_a_value_from_the_log_too(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    run = tap.sync(
        server,
        modules=["Leads"],
        stream_maps={"Leads": {"Email": "md5(config['hash_seed'] + Email) if Email else None"}},
        stream_map_config={"hash_seed": "salt"},
    )

    emails = {record["Email"] for record in organisation.truth("Leads").values()} - {None}
    assert emails
    assert not [email for email in emails if email in run.stdout or email in run.stderr]
    assert sum(record["Email"] is not None for record in run.records("Leads")) == sum(
        record["Email"] is not None for record in organisation.truth("Leads").values()
    )


def test_flattening_leaves_flat_records_as_they_are(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    run = tap.sync(
        server,
        flattening_enabled=True,
        flattening_max_depth=2,
        multiselect_separator=";",
        modules=["Leads"],
    )

    truth = organisation.truth("Leads", multiselect_separator=";")
    flat = {
        key: {
            name: json.dumps(value) if isinstance(value, list) else value
            for name, value in record.items()
        }
        for key, record in truth.items()
    }
    found = {
        key: {
            name: json.dumps(json.loads(value)) if name == "Interests" and value else value
            for name, value in record.items()
        }
        for key, record in run.by_id("Leads").items()
    }
    assert found == flat


def batch_config(folder: Path, **encoding: Any) -> Json:
    return {
        "encoding": {"format": "jsonl", "compression": "gzip", **encoding},
        "storage": {"root": folder.as_uri(), "prefix": "zoho-"},
    }


def batch_records(run: TapRun, stream: str) -> list[Json]:
    """Return the records of all BATCH files, each checked against its SCHEMA."""
    checker = SingerChecker()
    for message in run.schemas.values():
        checker.check(message)
    records = []
    for message in run.of_type("BATCH", stream):
        assert message["encoding"]["format"] == "jsonl"
        for url in message["manifest"]:
            file = Path(url2pathname(urlsplit(url).path))
            for line in gzip.decompress(file.read_bytes()).decode().split("\n"):
                if line:
                    record = parse(line)
                    checker.validate(stream, record)
                    records.append(record)
    return records


def test_batch_files_hold_every_record_by_value(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, tmp_path: Path
) -> None:
    run = tap.sync(server, batch_config={**batch_config(tmp_path), "batch_size": 15})

    for name in ("Deals", "Leads"):
        records = batch_records(run, name)
        assert {record["id"]: record for record in records} == organisation.truth(name)
        assert len(records) == len(organisation.truth(name))
        assert not run.records(name)
        latest = max(record["Modified_Time"] for record in organisation.truth(name).values())
        assert run.bookmark(name)["replication_key_value"] == latest
    second = tap.sync(server, batch_config=batch_config(tmp_path), state=run.state)
    assert len(batch_records(second, "Deals")) == 1


def test_batch_files_of_a_full_table_are_all_of_it(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, tmp_path: Path
) -> None:
    catalog = as_full_table(tap.discover(server), "Leads")

    run = tap.sync(server, catalog=catalog, batch_config=batch_config(tmp_path))

    records = batch_records(run, "Leads")
    assert {record["id"]: record for record in records} == organisation.truth("Leads")


def test_numbers_keep_every_digit(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Products"], sizes={"Products": 5})
    numbers = ["0.100000000000000005", "1234567890123456.123456789", "-0.1", "99999999999999.99"]
    for number in numbers:
        organisation.insert("Products", values={"Commission_Rate": Decimal(number)})
    server = serve(organisation)

    plain = tap.sync(server)
    mapped = tap.sync(server, stream_maps={"Products": {"Product_Code": "'x'"}})

    for run in (plain, mapped):
        for number in numbers:
            assert f'"Commission_Rate":{number},' in run.stdout
        records = run.by_id("Products")
        truth = organisation.truth("Products")
        assert [str(records[key]["Commission_Rate"]) for key in truth] == [
            str(truth[key]["Commission_Rate"]) for key in truth
        ]


def test_records_have_the_time_when_they_were_read(tap: TapCommand, server: ZohoServer) -> None:
    run = tap.sync(server, modules=["Deals"])

    for message in run.of_type("RECORD"):
        assert message["time_extracted"].endswith(("Z", "+00:00"))
