"""Pages for the decoder, built without a server: any bytes in any ZIP."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.archive import Archive
from tap_zoho_bulk.bulk_read.page import JobRef, JobResult, Page
from tap_zoho_bulk.decode.csv_page import CsvDecoder
from tap_zoho_bulk.decode.invalid_values import InvalidValues

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def csv_bytes(
    rows: Iterable[Sequence[str]],
    *,
    bom: bool = False,
    line_end: str = "\r\n",
    quote_all: bool = False,
) -> bytes:
    """Return rows, including the header, in Zoho's form of CSV."""

    def quoted(cell: str) -> str:
        if quote_all or any(char in cell for char in ',"\r\n'):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    text = "".join(",".join(map(quoted, row)) + line_end for row in rows)
    return ("\ufeff" if bom else "").encode() + text.encode()


def zipped(content: bytes, name: str = "5725767000009000001.csv") -> bytes:
    """Return a ZIP with one file, as Zoho returns it."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(content)
    return buffer.getvalue()


def page_of(archive: bytes, *, count: int) -> Page:
    """Return a page whose job reported `count` rows."""
    job = JobRef("Leads", 1, "5725767000009000001")
    result = JobResult(count, "/result", more_records=False, next_page_token=None)
    return Page(job, result, Archive(str(job), io.BytesIO(archive), len(archive)))


def decode(
    page: Page,
    properties: Mapping[str, Mapping[str, Any]],
    *,
    multiselect_separator: str | None = None,
    null_if_invalid: bool = False,
) -> list[dict[str, Any]]:
    """Decode a page with these properties, each from the column with the same name."""
    decoder = CsvDecoder(
        {"type": "object", "properties": {"id": {"type": ["string"]}, **properties}},
        {name: name for name in properties},
        multiselect_separator=multiselect_separator,
        invalid=InvalidValues(become_null=null_if_invalid),
    )
    return list(decoder.records(page))
