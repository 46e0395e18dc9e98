"""Pages to measure with: ZIPs as Zoho's bulk read gives them, made once and served many times.

`python -m benchmarks.pages DIRECTORY PAGES ROWS` writes so many pages of so many records.
"""

from __future__ import annotations

import csv
import io
import random
import sys
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tap_zoho_bulk.crm.field_types import json_schema

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE = "Leads"
_FIRST_ID = 5725767000000400001
_POOL = 5_000
_ZONE = ZoneInfo("America/Los_Angeles")
_EPOCH = datetime(2023, 1, 1, tzinfo=timezone.utc)
_EMPTY_SHARE = 0.1
_WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "Müller", "O'Neil"),
    *("haven", "inlet", "jetty", "knoll", "larch", "mesa", "nook", "Nguyễn", "佐藤", "smith, jr"),
)

FIELDS: dict[str, str] = {
    **{f"Name_{number}": "text" for number in range(9)},
    **{f"Stage_{number}": "picklist" for number in range(5)},
    **{f"Lookup_{number}": "lookup" for number in range(4)},
    **{f"Phone_{number}": "phone" for number in range(2)},
    "Email": "email",
    "Website": "website",
    "Description": "textarea",
    **{f"Count_{number}": "integer" for number in range(3)},
    **{f"Amount_{number}": "currency" for number in range(3)},
    "Share": "percent",
    **{f"Is_{number}": "boolean" for number in range(4)},
    **{f"Day_{number}": "date" for number in range(2)},
    "Created_Time": "datetime",
    "Modified_Time": "datetime",
    "Last_Activity_Time": "datetime",
}
"""A module's fields besides the id, by Zoho's data type: 40 columns with it."""


def _text(rng: random.Random, shortest: int, longest: int) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(shortest, longest)))


def _instant(rng: random.Random) -> str:
    instant = _EPOCH + timedelta(seconds=rng.randrange(63_000_000))
    return instant.astimezone(_ZONE).isoformat(timespec="seconds")


_CELLS: dict[str, Callable[[random.Random], str]] = {
    "text": lambda rng: _text(rng, 1, 3),
    "picklist": lambda rng: rng.choice(("Open", "Contacted", "Not Contacted", "Lost Lead")),
    "lookup": lambda rng: str(_FIRST_ID + rng.randrange(10**6)),
    "phone": lambda rng: f"+1 555 {rng.randrange(10**7):07d}",
    "email": lambda rng: f"person{rng.randrange(10**6)}@example.com",
    "website": lambda rng: f"https://{rng.choice('abcdefgh')}.example/?q={rng.randrange(10**4)}",
    "textarea": lambda rng: _text(rng, 3, 20).replace("cedar", 'a "cedar"\n'),
    "integer": lambda rng: str(rng.randint(-5, 100_000)),
    "currency": lambda rng: f"{rng.randint(-(10**6), 10**9) / 100:.2f}",
    "percent": lambda rng: f"{rng.randrange(10_000) / 100:.2f}",
    "boolean": lambda rng: rng.choice(("true", "false")),
    "date": lambda rng: (_EPOCH + timedelta(days=rng.randrange(5_000))).date().isoformat(),
    "datetime": _instant,
}


def write_pages(directory: Path, *, pages: int, rows: int) -> None:
    """Write pages as `1.zip`, `2.zip` and so on.

    Args:
        directory: Where.
        pages: How many.
        rows: Records of each.
    """
    rng = random.Random(1)  # noqa: S311 - data, not secrets
    pools = [[_CELLS[kind](rng) for _ in range(_POOL)] for kind in FIELDS.values()]
    for pool, (name, _) in zip(pools, FIELDS.items(), strict=True):
        if name != "Modified_Time":
            pool[: int(_POOL * _EMPTY_SHARE)] = [""] * int(_POOL * _EMPTY_SHARE)
    for page in range(pages):
        first = _FIRST_ID + page * rows
        columns = [rng.choices(pool, k=rows) for pool in pools]
        with (
            zipfile.ZipFile(directory / f"{page + 1}.zip", "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(f"{first}.csv", "w") as member,
            io.TextIOWrapper(member, encoding="utf-8", newline="") as text,
        ):
            writer = csv.writer(text)
            writer.writerow(["Id", *FIELDS])
            writer.writerows(zip(map(str, range(first, first + rows)), *columns, strict=True))


def catalog(*modules: str) -> dict[str, Any]:
    """Return the Singer catalog of modules with the pages' fields.

    Args:
        modules: Their names; the pages' own module if there are none.
    """
    properties = {
        "id": {"type": ["string"]},
        **{
            name: json_schema({"data_type": kind}, multiselect_array=False)
            for name, kind in FIELDS.items()
        },
    }
    return {
        "streams": [
            {
                "tap_stream_id": module,
                "stream": module,
                "key_properties": ["id"],
                "replication_key": "Modified_Time",
                "replication_method": "INCREMENTAL",
                "schema": {"type": "object", "properties": properties},
                "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
            }
            for module in modules or (MODULE,)
        ]
    }


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]), pages=int(sys.argv[2]), rows=int(sys.argv[3]))
