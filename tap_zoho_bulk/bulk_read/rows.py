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
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_zoho_bulk.bulk_read.page import MAX_ROW_BYTES
from tap_zoho_bulk.exceptions import InvalidValueError, PageDamagedError
from tap_zoho_bulk.field_types import converter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_zoho_bulk.bulk_read.page import CsvBytes, Page
    from tap_zoho_bulk.field_types import Converter

ID_COLUMNS = ("Id", "id")
"""How Zoho heads the id: the one in the files that were seen, the other in the documentation."""

_READ_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 17
_MOST_EMPTY_LINES = 1000
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


class Chunk:
    """Some records, column by column.

    Args:
        columns: Values by property, each in the records' order.
    """

    def __init__(self, columns: dict[str, Sequence[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Give the records one by one."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def part(self, start: int, end: int) -> Chunk:
        """Give some of the records.

        Args:
            start: Place of the first.
            end: Place after the last; those that there are, if there are fewer.
        """
        if start == 0 and end >= len(self):
            return self
        return Chunk({name: values[start:end] for name, values in self.columns.items()})


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
        self._converters: dict[str, Converter] = {
            name: converter(schema["properties"][name], multiselect_separator=multiselect_separator)
            for name in columns
        }

    def records(self, page: Page) -> Iterator[dict[str, Any]]:
        """Give a page's records one by one; otherwise as `chunks`."""
        return chain.from_iterable(self.chunks(page))

    def chunks(self, page: Page) -> Iterator[Chunk]:
        """Give a page's records, many at a time, in the CSV's order.

        Args:
            page: As downloaded.

        Raises:
            InvalidValueError: When a cell does not parse as its field's type, or an id is empty.
            PageDamagedError: When the page turns out not to be whole; records may have been given.
        """
        # Reading runs ahead of the rows, so the count before the header is the one to compare with.
        not_utf8 = _not_utf8
        count = empty = 0
        with page.open_csv() as raw:
            text = io.TextIOWrapper(
                io.BufferedReader(raw, _READ_BYTES),
                encoding="utf-8-sig",
                errors=_COUNTING,
                newline="",
            )
            rows = _csv_rows(text)
            try:
                header = next(rows, None)
                if header is None:
                    raise PageDamagedError(f"{page}: the CSV has no header.")
                columns = self._columns_of(page, header)
                while taken := _take(rows, raw):
                    cells = _transposed(page, taken, len(header), count)
                    chunk = self._converted(page, columns, cells, not_utf8)
                    count += len(chunk)
                    empty += len(taken) - len(chunk)
                    if count > page.result.count:
                        break  # There may be no end of rows, so they are not read on.
                    if empty > _MOST_EMPTY_LINES:
                        raise PageDamagedError(f"{page}: the CSV has {empty} empty lines.")
                    yield chunk
            except csv.Error as error:
                raise PageDamagedError(f"{page}: the CSV is damaged ({error}).") from error
        if count != page.result.count:
            raise PageDamagedError(
                f"{page}: the CSV has {count} rows, but the job says {page.result.count}."
            )

    def _converted(
        self, page: Page, columns: list[_Column], cells: list[tuple[str, ...]], not_utf8: int
    ) -> Chunk:
        """Turn cells into values, column by column."""
        look = _not_utf8 != not_utf8  # Some bytes of the page so far were not UTF-8.
        ids = cells[columns[0].place]
        if not all(ids) or (look and any(map(_search_not_utf8, ids))):
            raise InvalidValueError(
                f"{page}: a row has no id, or a broken one, so no target can tell what record it "
                "is. Report it to Zoho's support."
            )
        values: dict[str, Sequence[Any]] = {"id": ids}
        for column in columns[1:]:
            column_cells = cells[column.place]
            try:
                if look and any(map(_search_not_utf8, column_cells)):
                    raise ValueError  # noqa: TRY301 - the cells are looked at one by one below
                values[column.name] = column.convert(column_cells)
            except ValueError:
                values[column.name] = self._one_by_one(page, column, column_cells, ids)
        return Chunk(values)

    def _one_by_one(
        self, page: Page, column: _Column, cells: Sequence[str], ids: Sequence[str]
    ) -> list[Any]:
        """Convert a column that has an invalid cell: raise, or make just that one null."""
        values: list[Any] = []
        for cell, record_id in zip(cells, ids, strict=True):
            try:
                if _search_not_utf8(cell):
                    raise ValueError("bytes that are not UTF-8")  # noqa: TRY301
                values += column.convert([cell])
            except ValueError as error:  # noqa: PERF203 - it is about single cells
                self._invalid(page, record_id, column.name, cell, error)
                values.append(None)
        return values

    def _columns_of(self, page: Page, header: list[str]) -> list[_Column]:
        """Find where in a row the id, which comes first, and each property stand."""
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
        twice = {name for name in (id_column, *self._columns.values()) if header.count(name) > 1}
        if twice:
            raise PageDamagedError(f"{page}: the CSV has {_some(twice)} twice.")
        return [
            _Column("id", indexes[id_column], list),
            *(
                _Column(name, indexes[column], self._converters[name])
                for name, column in self._columns.items()
            ),
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


class _Column(NamedTuple):
    """A column of a page: the property that it becomes, its place in a row, its converter."""

    name: str
    place: int
    convert: Converter


def _take(rows: Iterator[list[str]], raw: CsvBytes) -> list[list[str]]:
    """Take some rows: many, but as few as keep memory bounded, as cells can be long."""
    raw.allow(_CHUNK_BYTES)
    end = raw.count + _CHUNK_BYTES
    taken = []
    for row in rows:
        taken.append(row)
        if raw.count >= end:
            break
    return taken


def _transposed(
    page: Page, rows: list[list[str]], width: int, before: int
) -> list[tuple[str, ...]]:
    """Turn rows into columns; raise when a row has not the header's width."""
    try:
        columns = list(zip(*rows, strict=True))
    except ValueError:
        columns = []
    if len(columns) == width:
        return columns
    rows = [row for row in rows if row]  # An empty line is no row; the count tells what is missing.
    for number, row in enumerate(rows, before + 1):
        if len(row) != width:
            raise PageDamagedError(
                f"{page}: row {number} has {len(row)} cells, the header {width}."
            )
    return list(zip(*rows, strict=True)) or [()] * width


def _csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Read CSV strictly. Python 3.10's reader refuses NUL, so something stands in for it there."""
    if _CSV_TAKES_NUL:
        return csv.reader(lines, strict=True)
    masked = (line.replace("\0", _NUL_STAND_IN) for line in lines)
    return (
        [cell.replace(_NUL_STAND_IN, "\0") for cell in row]
        for row in csv.reader(masked, strict=True)
    )


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    shown = ", ".join(f"`{name}`" for name in listed[:5])
    return shown + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")  # noqa: PLR2004
