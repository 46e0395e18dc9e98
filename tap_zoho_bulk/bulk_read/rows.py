"""Rows to records: a page's CSV, checked row by row and converted column by column.

Invariant: a page whose records all came out is whole: its ZIP's CRC holds, its header has every
field that was asked for, every row has the header's width, and the rows number `result.count`.
Columns are found by name; their order and any surplus ones do not matter.
"""

from __future__ import annotations

import codecs
import csv
import io
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.page import MAX_ROW_BYTES
from tap_zoho_bulk.exceptions import InvalidValueError, PageDamagedError
from tap_zoho_bulk.field_types import converter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tap_zoho_bulk.bulk_read.page import CsvBytes, Page
    from tap_zoho_bulk.field_types import Converter

ID_COLUMNS = ("Id", "id")
"""How Zoho heads the id: the one in the files that were seen, the other in the documentation."""

_CSV_TAKES_NUL = sys.version_info >= (3, 11)
_NUL_STAND_IN = "\ud800"  # UTF-8 cannot hold it, so no file can bring it.

# Cells with bytes that are not UTF-8 are rare, and looking for them in every cell is dear. So the
# codec counts them, and cells are looked at from the moment when the count rises.
_COUNTING = "tap-zoho-bulk-counting"
_not_utf8 = 0
_search_not_utf8 = re.compile(r"[\udc80-\udcff]").search

csv.field_size_limit(MAX_ROW_BYTES)  # Python's own, 131,072, is less than Zoho's cells have.

logger = logging.getLogger("tap-zoho-bulk.rows")


def _count_not_utf8(error: UnicodeError) -> tuple[str | bytes, int]:
    global _not_utf8  # noqa: PLW0603
    _not_utf8 += 1
    return codecs.lookup_error("surrogateescape")(error)


codecs.register_error(_COUNTING, _count_not_utf8)


class Decoder:
    """Turns the pages of one stream into records.

    Args:
        schema: The stream's JSON Schema, with only the properties to emit.
        columns: Header of each property's column, by property, without `id`.
        multiselect_separator: Where arrays are split.
        null_if_invalid: Whether a cell that does not parse is null, instead of an error.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        columns: Mapping[str, str],
        *,
        multiselect_separator: str | None,
        null_if_invalid: bool,
    ) -> None:
        self.invalid_values = 0
        self._columns = columns
        self._null_if_invalid = null_if_invalid
        self._converters: dict[str, Converter | None] = {
            name: converter(schema["properties"][name], multiselect_separator=multiselect_separator)
            for name in columns
        }

    def records(self, page: Page) -> Iterator[dict[str, Any]]:
        """Give a page's records, with `id` first.

        Args:
            page: As downloaded.

        Raises:
            InvalidValueError: When a cell does not parse as its field's type, or the id is empty.
            PageDamagedError: When the page turns out not to be whole; records may have been given.
        """
        # Reading runs ahead of the rows, so the count before the header is the one to compare with.
        not_utf8 = _not_utf8
        with page.open_csv() as raw:
            text = io.TextIOWrapper(
                io.BufferedReader(raw, 1 << 16),
                encoding="utf-8-sig",
                errors=_COUNTING,
                newline="",
            )
            rows = _csv_rows(text)
            try:
                header = next(rows, None)
                if header is None:
                    raise PageDamagedError(f"{page}: the CSV has no header.")
                to_record = self._compile(page, header, not_utf8)
                for row in _whole(page, raw, rows, len(header)):
                    yield to_record(row)
            except csv.Error as error:
                raise PageDamagedError(f"{page}: the CSV is damaged ({error}).") from error

    def _compile(
        self, page: Page, header: list[str], not_utf8: int
    ) -> Callable[[list[str]], dict[str, Any]]:
        """Make the function that turns a row of this page into a record."""
        id_index, cells = self._positions(page, header)

        def to_record(row: list[str]) -> dict[str, Any]:
            record_id = row[id_index]
            if not record_id or (_not_utf8 != not_utf8 and _search_not_utf8(record_id)):
                raise InvalidValueError(
                    f"{page}: a row has {'a broken' if record_id else 'no'} id, so no target can "
                    "tell what record it is. Report it to Zoho's support."
                )
            record: dict[str, Any] = {"id": record_id}
            for name, index, convert in cells:
                cell = row[index]
                if not cell:
                    record[name] = None
                    continue
                try:
                    if _not_utf8 != not_utf8 and _search_not_utf8(cell):
                        raise ValueError("bytes that are not UTF-8")  # noqa: TRY301
                    record[name] = cell if convert is None else convert(cell)
                except ValueError as error:
                    self._invalid(page, record_id, name, cell, error)
                    record[name] = None
            return record

        return to_record

    def _positions(
        self, page: Page, header: list[str]
    ) -> tuple[int, list[tuple[str, int, Converter | None]]]:
        """Find where in a row the id and each property stand."""
        indexes = {name: index for index, name in enumerate(header)}
        missing = [column for column in self._columns.values() if column not in indexes]
        id_column = next((name for name in ID_COLUMNS if name in indexes), None)
        if id_column is None:
            missing.insert(0, "id")
        if id_column is None or missing:
            raise PageDamagedError(
                f"{page}: the CSV lacks {_some(missing)}. If it stays so, discover the catalog "
                "again or deselect what is missing."
            )
        twice = {name for name in self._columns.values() if header.count(name) > 1}
        if twice or header.count(id_column) > 1:
            raise PageDamagedError(f"{page}: the CSV has {_some(twice or {id_column})} twice.")
        return indexes[id_column], [
            (name, indexes[column], self._converters[name])
            for name, column in self._columns.items()
        ]

    def _invalid(self, page: Page, record_id: str, name: str, cell: str, error: ValueError) -> None:
        """Raise, or say that the value becomes null, as `on_invalid_value` tells."""
        # The cell itself is somebody's data, so it is described instead of shown.
        what = (
            f"{page}: record {record_id}: `{name}` has a value of {len(cell)} characters that is "
            f"not what its type needs ({error})"
        )
        if not self._null_if_invalid:
            raise InvalidValueError(
                f"{what}. Mend it in Zoho, deselect the field, or set `on_invalid_value` to `null`."
            ) from error
        self.invalid_values += 1
        if self.invalid_values <= 10:  # noqa: PLR2004
            logger.warning("%s; it becomes null.", what)


def _whole(page: Page, raw: CsvBytes, rows: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    """Pass rows on; raise as soon as they show that the page is not whole."""
    count = 0
    for row in rows:
        raw.row_done()
        if len(row) != width:
            if not row:
                continue  # An empty line is no row; the count below tells if one is missing.
            raise PageDamagedError(
                f"{page}: row {count + 1} has {len(row)} cells, the header {width}."
            )
        count += 1
        yield row
    if count != page.result.count:
        raise PageDamagedError(
            f"{page}: the CSV has {count} rows, but the job says {page.result.count}."
        )


def _csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Read CSV strictly. Python 3.10's reader refuses NUL, so something stands in for it there."""
    if _CSV_TAKES_NUL:
        yield from csv.reader(lines, strict=True)
        return
    for row in csv.reader((line.replace("\0", _NUL_STAND_IN) for line in lines), strict=True):
        yield [cell.replace(_NUL_STAND_IN, "\0") for cell in row]


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    shown = ", ".join(f"`{name}`" for name in listed[:5])
    return shown + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")  # noqa: PLR2004
