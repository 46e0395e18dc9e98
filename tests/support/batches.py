"""BATCH files, read as a target would read them."""

from __future__ import annotations

import gzip
import io
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow.parquet as pq

from tests.support.singer import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.singer import Json, TapRun

ENCODINGS = [
    {"format": file_format, "compression": compression}
    for file_format in ("jsonl", "parquet")
    for compression in ("none", "gzip")
]


def config(folder: Path, file_format: str = "jsonl") -> Json:
    return {
        "encoding": {"format": file_format, "compression": "none"},
        "storage": {"root": folder.as_uri(), "prefix": "zoho-"},
    }


def local(url: str) -> bytes:
    return Path(url2pathname(urlsplit(url).path)).read_bytes()


def records_in(content: bytes, encoding: Json) -> list[Json]:
    """Return the records of a file, with values as in JSON."""
    if encoding["format"] == "parquet":
        table = pq.read_table(io.BytesIO(content))
        return [{name: _as_json(value) for name, value in row.items()} for row in table.to_pylist()]
    if encoding["compression"] == "gzip":
        content = gzip.decompress(content)
    assert not content or content.endswith(b"\n")
    return [parse(line) for line in content.decode().split("\n")[:-1]]


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        assert value.tzinfo is not None
        return value.astimezone(timezone.utc).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def files_of(run: TapRun, stream: str, read: Callable[[str], bytes] = local) -> list[list[Json]]:
    """Return the records of each file that a stream's BATCH messages name."""
    return [
        records_in(read(url), message["encoding"])
        for message in run.of_type("BATCH", stream)
        for url in message["manifest"]
    ]


def check_version(run: TapRun, stream: str) -> None:
    """Check that a stream's one BATCH has its version, which is activated after it."""
    (batch,) = run.of_type("BATCH", stream)
    (activate,) = run.of_type("ACTIVATE_VERSION", stream)
    assert batch["version"] == activate["version"]
    assert run.messages.index(batch) < run.messages.index(activate)
