"""The fleet's storage as it is after a run: Parquet as a table, figures, and every byte.

Invariant: what is in the lake is what `messages.jsonl` of each run names, in that order.
"""

from __future__ import annotations

import gzip
import io
import json
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import override

from tests.support.warehouse import Storage, Table, Warehouse
from zoho_bulk_fleet.storage import ORGANISATIONS, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lake:
    """All objects of a fleet's storage.

    Args:
        url: The storage's.
    """

    def __init__(self, url: str) -> None:
        store = open_store(url, None)
        self._url = url
        self._objects = {
            each["path"]: bytes(obstore.get(store, each["path"]).bytes())
            for part in obstore.list(store)
            for each in part
        }

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """Yield each object's path and content, decompressed."""
        for path, content in self._objects.items():
            if path.endswith(".parquet"):
                yield path, str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
            yield path, gzip.decompress(content) if path.endswith(".gz") else content

    def figures(self, name: str) -> list[dict[str, Any]]:
        """Return the figures of an organisation's runs, the oldest first.

        Args:
            name: The organisation's.
        """
        return [json.loads(content) for _, content in self._below(f"{name}/figures/")]

    def warehouse(self, name: str) -> LakeWarehouse:
        """Return what is in the lake of an organisation.

        Args:
            name: The organisation's.
        """
        rows: dict[str, dict[str, dict[str, Any]]] = {}
        columns: dict[str, dict[str, str]] = {}
        for path, content in self._below(f"{name}/data/"):
            if not path.endswith("/messages.jsonl"):
                continue
            for message in map(json.loads, content.splitlines()):
                for url in message["manifest"] if message["type"] == "BATCH" else ():
                    file = self._objects[url.removeprefix(f"{self._url}/")]
                    table = pq.read_table(io.BytesIO(file))
                    stream = message["stream"]
                    # The file of deleted records has fewer.
                    columns.setdefault(stream, {}).update(
                        {each.name: str(each.type) for each in table.schema}
                    )
                    # The last one wins. A deleted record has its key and the time only.
                    rows.setdefault(stream, {}).update(
                        {row["id"]: row for row in table.to_pylist()}
                    )
        return LakeWarehouse(
            {stream: Table(columns[stream], list(of.values())) for stream, of in rows.items()}
        )

    def _below(self, path: str) -> list[tuple[str, bytes]]:
        prefix = f"{ORGANISATIONS}/{path}"
        return sorted(each for each in self._objects.items() if each[0].startswith(prefix))


class LakeWarehouse(Warehouse):
    """Tables that were read from Parquet.

    Args:
        tables: The tables, by stream.
    """

    storage: ClassVar = {
        "text": Storage(str(pa.string()), str),
        "integer": Storage(str(pa.int64()), int),
        "number": Storage(str(pa.decimal128(38, 18)), Decimal),
        "boolean": Storage(str(pa.bool_()), bool),
        "date": Storage(str(pa.date32()), date.fromisoformat),
        "datetime": Storage(str(pa.timestamp("us", "UTC")), datetime.fromisoformat),
    }

    def __init__(self, tables: dict[str, Table]) -> None:
        self._tables = tables

    @override
    def name(self, identifier: str) -> str:
        return identifier

    @override
    def table(self, stream: str) -> Table | None:
        return self._tables.get(stream)
