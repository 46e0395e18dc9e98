"""What the loaders make of BATCH files, STATE and signals, with messages made by hand."""

from __future__ import annotations

import gzip
import signal
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.loaders import Loader, RunningLoader
    from tests.support.singer import Json

TEXT = {"type": ["string", "null"]}
PROPERTIES: Json = {
    "module": {"type": ["string"]},
    "id": {"type": ["string"]},
    "Text": TEXT,
    "Number": {"type": ["number", "null"]},
    "Count": {"type": ["integer", "null"]},
    "Is": {"type": ["boolean", "null"]},
    "Day": {**TEXT, "format": "date"},
    "Time": {**TEXT, "format": "date-time"},
    "List": {"type": ["array", "null"], "items": {"type": ["string", "null"]}},
    "Object": {"type": ["object", "null"], "properties": {"name": TEXT, "id": TEXT}},
    "_sdc_deleted_at": {**TEXT, "format": "date-time"},
}
FIELDS = pa.schema(
    [
        ("module", pa.string()),
        ("id", pa.string()),
        ("Text", pa.string()),
        ("Number", pa.decimal128(38, 18)),
        ("Count", pa.int64()),
        ("Is", pa.bool_()),
        ("Day", pa.date32()),
        ("Time", pa.timestamp("us", "UTC")),
        ("List", pa.list_(pa.string())),
        ("Object", pa.struct([("name", pa.string()), ("id", pa.string())])),
        ("_sdc_deleted_at", pa.timestamp("us", "UTC")),
    ]
)
AWKWARD = [
    "",
    " ",
    '"',
    "'",
    "\\",
    "\\N",
    "\\u0000",
    "a\nb\r\nc\td",
    "NUL\0 and 🙂",
    "{x}",
    "x" * 200_000,
]


def record(number: int, text: str | None = None, **values: Any) -> Json:
    """Return a record; every other one has nulls."""
    filled: Json = {
        "Text": text or f"text {number}",
        "Number": Decimal("12345678901.123456789") + number,
        "Count": number - 2**53,
        "Is": number % 4 == 0,
        "Day": "2024-02-29",
        "Time": "2024-12-31T23:59:59+00:00",
        "List": ["a", 'b"\\', "ç, {d}"],
        "Object": {"name": text, "id": str(number)},
        "_sdc_deleted_at": None,
    }
    found = filled if number % 2 == 0 else dict.fromkeys(filled)
    return {"module": "Leads", "id": str(number), **found, **values}


def parquet(path: Path, records: list[Json]) -> Json:
    """Write a file, and return its BATCH message without the stream."""

    def value(name: str, found: Any) -> Any:
        if found is None or name not in ("Day", "Time", "_sdc_deleted_at"):
            return found
        return date.fromisoformat(found) if name == "Day" else datetime.fromisoformat(found)

    rows = [{name: value(name, each[name]) for name in each} for each in records]
    fields = pa.schema([field for field in FIELDS if field.name in records[0]])
    pq.write_table(pa.Table.from_pylist(rows, fields), path)
    return batch(path, "parquet", "none")


def jsonl(path: Path, records: list[Json], compression: str = "none") -> Json:
    """Write a file, and return its BATCH message without the stream."""
    text = "".join(line(each) for each in records).encode()
    path.write_bytes(gzip.compress(text) if compression == "gzip" else text)
    return batch(path, "jsonl", compression)


def batch(path: Path, file_format: str, compression: str) -> Json:
    return {
        "type": "BATCH",
        "stream": "Files",
        "encoding": {"format": file_format, "compression": compression},
        "manifest": [path.as_uri()],
    }


def schema(stream: str, *names: str, **more: Json) -> Json:
    properties = {name: PROPERTIES[name] for name in names or PROPERTIES}
    return {
        "type": "SCHEMA",
        "stream": stream,
        "key_properties": ["module", "id"] if "module" in properties else ["id"],
        "schema": {"properties": {**properties, **more}},
    }


def records_of(stream: str, records: list[Json], version: int | None = None) -> list[Json]:
    message = {"type": "RECORD", "stream": stream, "time_extracted": "2026-01-01T00:00:00+00:00"}
    if version is not None:
        message["version"] = version  # type: ignore[assignment]
    return [{**message, "record": each} for each in records]


def state(number: int) -> Json:
    return {"type": "STATE", "value": {"bookmarks": {"Files": {"number": number}}}}


def line(message: Json) -> str:
    """Return a line of JSON with every digit."""
    return _encoder.encode(message).decode() + "\n"


_encoder = msgspec.json.Encoder(decimal_format="number")


def rows(loader: Loader, stream: str) -> list[Json]:
    """Return a table's rows, without what differs between two loads of the same record."""
    table = loader.warehouse.table(stream)
    if table is None:
        return []
    own = {"_sdc_extracted_at", "_sdc_received_at", "_sdc_batched_at", "_sdc_sequence"}
    found = [{key: row[key] for key in row.keys() - own} for row in table.rows]
    return sorted(found, key=lambda row: (row["id"], repr(row)))


def ids(loader: Loader, stream: str = "Files") -> set[str]:
    return {row["id"] for row in rows(loader, stream)}


def send(running: RunningLoader, *messages: Json) -> None:
    running.write("".join(map(line, messages)))


def test_files_are_stored_as_the_same_records_are(loader: Loader, tmp_path: Path) -> None:
    first = [record(2 * number, text) for number, text in enumerate(AWKWARD)]
    first += [record(each) for each in range(100, 110)]
    # Of several records with one key, the last one wins; another module's has another key.
    first += [record(100, "second"), record(100, "last"), record(100, "other", module="Deals")]
    deleted = "2026-02-03T04:05:06+00:00"
    second = [
        record(100, "changed"),
        record(101, "was null"),
        record(400, _sdc_deleted_at=deleted),  # It never had a row, and gets none.
        record(300, "added"),
    ]
    third = [record(each, "of version 2") for each in (100, 300)]
    files = [
        {**parquet(tmp_path / "1.parquet", first), "version": 1},
        {**jsonl(tmp_path / "2.jsonl.gz", second, "gzip"), "version": 1},
        {**jsonl(tmp_path / "3.jsonl", third), "version": 2},
    ]
    activate = {"type": "ACTIVATE_VERSION", "version": 2}
    records = [
        message
        for version, each in ((1, first), (1, second), (2, third))
        for message in records_of("Records", each, version)
    ]
    with loader.start() as running:
        send(running, schema("Records"), *records, {**activate, "stream": "Records"})
        send(running, schema("Files"), *files, {**activate, "stream": "Files"}, state(2))
        exit_code, states, log = running.end()

    assert exit_code == 0, log
    assert states[-1] == state(2)["value"]
    found, expected = rows(loader, "Files"), rows(loader, "Records")
    assert {row["id"] for row in expected} == {
        each["id"] for each in [*first, *second] if each["id"] != "400"
    }
    assert len(expected) == len({(each["module"], each["id"]) for each in [*first, *second]}) - 1
    for actual, due in zip(found, expected, strict=True):
        assert _only_whether_deleted(actual) == _only_whether_deleted(due)
    (last,) = [row for row in found if row["id"] == "100" and row["module"] == "Leads"]
    assert "of version 2" in last.values()
    assert not [file for file in files if (tmp_path / file["manifest"][0].split("/")[-1]).exists()]


def _only_whether_deleted(row: Json) -> Json:
    return {**row, "_sdc_deleted_at": row["_sdc_deleted_at"] is not None}


def test_a_new_property_becomes_a_column(loader: Loader, tmp_path: Path) -> None:
    files = [
        parquet(tmp_path / "1.parquet", [record(1, "one"), record(2, "two")]),
        jsonl(tmp_path / "2.jsonl", [{**record(1, "one"), "New": "new"}]),
    ]
    with loader.start() as running:
        send(running, schema("Files"), files[0], schema("Files", *PROPERTIES, New=TEXT), files[1])
        exit_code, _, log = running.end()

    assert exit_code == 0, log
    new = loader.warehouse.name("New")
    assert [row[new] for row in rows(loader, "Files")] == ["new", None]


def test_deleted_records_are_removed_if_the_user_wants_that(loader: Loader, tmp_path: Path) -> None:
    deleted = "2026-02-03T04:05:06+00:00"
    before = [record(each) for each in (1, 2, 3)]
    after = [record(2, _sdc_deleted_at=deleted), record(3, "changed")]
    with loader.start(hard_delete=True, keep_batch_files=True) as running:
        send(running, schema("Records"), *records_of("Records", before))
        send(running, schema("Files"), parquet(tmp_path / "1.parquet", before))
        send(running, schema("Records"), *records_of("Records", after))
        send(running, parquet(tmp_path / "2.parquet", after))
        exit_code, _, log = running.end()

    assert exit_code == 0, log
    assert ids(loader) == ids(loader, "Records") == {"1", "3"}
    assert (tmp_path / "2.parquet").exists()


def test_the_row_of_a_deleted_record_keeps_its_other_values(loader: Loader, tmp_path: Path) -> None:
    before = [record(each, "kept") for each in (2, 4)]
    # As the tap emits deletes: without the other values. One of them was never there.
    time = "2026-02-03T04:05:06+00:00"
    deletes = [{"module": "Leads", "id": each, "_sdc_deleted_at": time} for each in ("2", "6")]
    for records in (before, deletes):
        with loader.start() as running:
            send(running, schema("Records"), *records_of("Records", records))
            send(running, schema("Parquet"), files_of(parquet, tmp_path / "1", "Parquet", records))
            send(running, schema("Jsonl"), files_of(jsonl, tmp_path / "2", "Jsonl", records))
            exit_code, _, log = running.end()
        assert exit_code == 0, log

    found = rows(loader, "Records")
    text, deleted = loader.warehouse.name("Text"), "_sdc_deleted_at"
    assert [(row["id"], row[text], row[deleted] is None) for row in found] == [
        ("2", "kept", False),
        ("4", "kept", True),
    ]
    assert rows(loader, "Parquet") == rows(loader, "Jsonl") == found


def files_of(
    write: Callable[[Path, list[Json]], Json], path: Path, stream: str, records: list[Json]
) -> Json:
    """Write a file, and return its BATCH message."""
    return {**write(path, records), "stream": stream}


@pytest.mark.parametrize("hard_delete", [False, True])
def test_a_version_replaces_what_it_lacks(
    loader: Loader, tmp_path: Path, *, hard_delete: bool
) -> None:
    older = [record(each) for each in (1, 2, 3)]
    newer = [record(2), record(4)]
    activate = {"type": "ACTIVATE_VERSION", "version": 8}
    with loader.start(hard_delete=hard_delete) as running:
        send(running, schema("Records"), *records_of("Records", older))  # without a version
        send(running, *records_of("Records", newer, 8), {**activate, "stream": "Records"})
        send(running, schema("Files"), {**parquet(tmp_path / "1", older), "version": 7})
        send(running, {**parquet(tmp_path / "2", newer), "version": 8})
        send(running, {**activate, "stream": "Files"})
        exit_code, _, log = running.end()

    assert exit_code == 0, log
    for stream in ("Records", "Files"):
        living = {row["id"] for row in rows(loader, stream) if row["_sdc_deleted_at"] is None}
        assert living == {"2", "4"}
        assert ids(loader, stream) == (living if hard_delete else {"1", "2", "3", "4"})


@pytest.mark.parametrize("damage", ["missing", "cut", "of another place"])
def test_a_file_that_cannot_be_loaded_ends_the_run_and_loses_nothing(
    loader: Loader, tmp_path: Path, damage: str
) -> None:
    good = jsonl(tmp_path / "1.jsonl", [record(1)])
    bad = parquet(tmp_path / "2.parquet", [record(each) for each in range(1, 2000)])
    path = tmp_path / "2.parquet"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        bad["manifest"] = ["s3://bucket/2.parquet"]

    with loader.start() as running:
        send(running, schema("Files"), good, state(1), bad, state(2))
        exit_code, states, log = running.end()

    assert exit_code == 1
    assert states == [state(1)["value"]]
    assert log.splitlines()[-1].startswith(f"Files: {bad['manifest'][0]} cannot be loaded: ")
    assert ids(loader) == {"1"}
    assert path.exists() == (damage != "missing")


def test_what_a_state_covers_is_there_after_a_crash(loader: Loader, tmp_path: Path) -> None:
    files = [parquet(tmp_path / f"{each}.parquet", [record(each)]) for each in (1, 2)]
    with loader.start() as running:
        send(running, schema("Files"), files[0], files[1], state(1))
        running.wait_for_state(state(1)["value"])
        running.process.kill()
        running.end()

    assert ids(loader) == {"1", "2"}


def test_signals_end_the_loader_only_after_the_tap(loader: Loader, tmp_path: Path) -> None:
    with loader.start() as running:
        send(running, schema("Files"), state(0))
        running.wait_for_state(state(0)["value"])
        send(running, *records_of("Files", [record(1)]), state(1))
        running.process.send_signal(signal.SIGINT)
        running.wait_for_log("SIGINT: loading what the tap still sends")
        running.process.terminate()
        # The tap stops after its current records.
        send(running, parquet(tmp_path / "2.parquet", [record(2)]))
        send(running, *records_of("Files", [record(3)]), state(2))
        # Meltano does not close the pipe.
        exit_code, states, log = running.end(close=False)

    assert exit_code == 0, log
    assert states[-1] == state(2)["value"]
    assert ids(loader) == {"1", "2", "3"}


def test_a_third_signal_ends_the_loader_at_once(loader: Loader) -> None:
    with loader.start() as running:
        send(running, state(0))
        running.wait_for_state(state(0)["value"])
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            running.process.send_signal(each)
            running.wait_for_log("SIGINT: loading what the tap still sends")
        exit_code, _, _ = running.end(close=False)

    assert exit_code in {-signal.SIGINT, -signal.SIGTERM}


def test_the_last_message_of_a_killed_tap_is_left_out(loader: Loader) -> None:
    with loader.start() as running:
        send(running, schema("Files"), *records_of("Files", [record(1)]), state(1))
        running.write(line(state(2))[:-10])
        exit_code, states, log = running.end()

    assert exit_code == 0, log
    assert states[-1] == state(1)["value"]
    assert "in the middle of a message" in log
    assert ids(loader) == {"1"}
