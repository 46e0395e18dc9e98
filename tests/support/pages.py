"""Pages for the decoder, made without the server: any bytes in any ZIP."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.job import JobResult
from tap_zoho_bulk.bulk_read.page import Page
from tap_zoho_bulk.decode.csv_page import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def csv_bytes(
    rows: Iterable[Sequence[str]],
    *,
    bom: bool = False,
    line_end: str = "\r\n",
    quote_all: bool = False,
) -> bytes:
    """Write rows, the header among them, as Zoho's CSV."""

    def quoted(cell: str) -> str:
        if quote_all or any(char in cell for char in ',"\r\n'):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    text = "".join(",".join(map(quoted, row)) + line_end for row in rows)
    return ("\ufeff" if bom else "").encode() + text.encode()


def zipped(content: bytes, name: str = "5725767000009000001.csv") -> bytes:
    """Put a file into a ZIP, as the download has it."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(content)
    return buffer.getvalue()


def page_of(archive: bytes, *, count: int) -> Page:
    """Make a page of a ZIP that should hold so many rows."""
    return Page(
        module="Leads",
        number=1,
        job_id="5725767000009000001",
        result=JobResult(
            count=count, download_url="/result", more_records=False, next_page_token=None
        ),
        file=io.BytesIO(archive),
        size=len(archive),
    )


def decode(
    page: Page,
    properties: Mapping[str, Mapping[str, Any]],
    *,
    multiselect_separator: str | None = None,
    null_if_invalid: bool = False,
) -> list[dict[str, Any]]:
    """Decode a page by a schema of these properties, whose columns have their names."""
    decoder = Decoder(
        {"type": "object", "properties": {"id": {"type": ["string"]}, **properties}},
        {name: name for name in properties},
        multiselect_separator=multiselect_separator,
        null_if_invalid=null_if_invalid,
    )
    return list(decoder.records(page))
