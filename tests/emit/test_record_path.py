"""Records written many at a time equal, byte for byte, those that the SDK writes singly."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.contrib.msgspec import MsgSpecWriter

from tap_zoho_bulk.bulk_read.chain import ChainPage
from tap_zoho_bulk.bulk_read.ledger import JobLedger
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.emit.record_lines import ChunkWriter
from tap_zoho_bulk.streams import bulk_read
from tap_zoho_bulk.tap import TapZohoBulk
from tests.support.pages import csv_bytes, page_of, zipped
from tests.support.tables import SEPARATOR, tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.bulk_read.job import BulkReadJobs
    from tap_zoho_bulk.bulk_read.page import Page
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery
    from tests.support.tables import Table

_changing = re.compile(
    rb',"time_extracted":"[^"]+"|"version":[0-9]+|,"catalog_check":{"at":"[^"]+"}'
)


class _OneByOne(TapZohoBulk):
    """The tap with the SDK's own writer, which writes single records."""

    message_writer_class = MsgSpecWriter  # type: ignore[assignment]


class _Nowhere(io.BytesIO):
    """Discards what is written."""

    def write(self, data: Any) -> int:
        return len(data)


class _Chain:
    """Yields pages that exist already."""

    pages: list[Page]

    def __init__(self, query: BulkReadQuery, *, jobs: BulkReadJobs, **_: Any) -> None:
        self.query = query
        self.spending = jobs.spending
        self.ledger = JobLedger()

    def reserve(self, _: Position) -> None:
        """Reserve nothing: its jobs exist."""

    def release(self) -> None:
        """Release nothing."""

    def close(self) -> None:
        """End nothing: its pages exist."""

    def follow(self, _: Position, **__: Any) -> Iterator[ChainPage]:
        last = len(self.pages)
        for number, page in enumerate(self.pages, 1):
            yield ChainPage(
                page,
                Position(number, started="2026-01-01T00:00:00+00:00"),
                Position(number + 1) if number < last else None,
            )


def _written(tap_class: type[TapZohoBulk], config: dict[str, Any], table: Table) -> bytes:
    """Return what a tap writes when it syncs a table in two pages."""
    entry = {
        "tap_stream_id": "Leads",
        "key_properties": ["id"],
        "replication_method": "FULL_TABLE",
        "schema": {
            "type": "object",
            "properties": {"id": {"type": ["string"]}, **table.properties},
        },
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
    }
    lines = table.lines("Id", list(range(1 + len(table.types))), [])
    half = 1 + len(table.rows) // 2
    pages = [
        page_of(zipped(csv_bytes([lines[0], *rows])), count=len(rows))
        for rows in (lines[1:half], lines[half:])
    ]

    with (
        patch.object(_Chain, "pages", pages, create=True),
        patch.object(bulk_read, "Chain", _Chain),
        redirect_stdout(io.TextIOWrapper(io.BytesIO())) as out,
    ):
        tap_class(config=config, catalog={"streams": [entry]}).sync_all()
        assert isinstance(out.buffer, io.BytesIO)
        return out.buffer.getvalue()


@settings(max_examples=100, deadline=None)
@given(table=tables(max_rows=20), versions=st.booleans())
def test_both_paths_write_the_same_bytes(table: Table, versions: bool) -> None:  # noqa: FBT001
    config = {
        "client_id": "id",
        "client_secret": "secret",
        "refresh_token": "refresh",
        "multiselect_separator": SEPARATOR,
        "emit_activate_version_messages": versions,
    }
    # A version is the time in seconds, so the taps may have different ones.
    at_once, one_by_one = (
        _changing.sub(b"", _written(each, config, table)) for each in (TapZohoBulk, _OneByOne)
    )

    assert at_once == one_by_one
    assert len(re.findall(rb'^{"type":"RECORD"', at_once, re.MULTILINE)) == len(table.rows)


def test_what_was_written_is_freed() -> None:
    def chunk() -> Chunk:
        return Chunk({name: [f"{name} {number}" for number in range(1000)] for name in ("id", "A")})

    writer = ChunkWriter()
    with redirect_stdout(io.TextIOWrapper(_Nowhere())):
        writer.write_chunk("Leads", chunk(), None)
        before = sys.getallocatedblocks()
        for _ in range(20):
            writer.write_chunk("Leads", chunk(), None)

        assert sys.getallocatedblocks() - before < 1000
