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
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.bulk_read.page import MAX_ROW_BYTES
from tap_zoho_bulk.crm.field_types import converter
from tap_zoho_bulk.exceptions import InvalidValueError, PageDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_zoho_bulk.bulk_read.page import CsvBytes, Page
    from tap_zoho_bulk.crm.field_types import Converter

ID_COLUMNS = ("Id", "id")
"""How Zoho heads the id: the one in the files that were seen, the other in the documentation."""

_READ_BYTES = 1 << 16
_PORTION_BYTES = 1 << 17
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
    """Some records, column by column: lists of Python values.

    A class derived from it makes other columns of the cells, of more of them at a time.

    Args:
        columns: Values by property, each in the records' order.
    """

    csv_bytes = 0
    """A chunk is of so many bytes of the CSV, at least."""

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
        return type(self)({name: values[start:end] for name, values in self.columns.items()})

    def greatest(self, name: str) -> str | None:
        """Give the greatest value of a property of texts.

        Args:
            name: The property; it may be one that the records do not have.
        """
        return max(filter(None, self.columns.get(name, ())), default=None)

    # What makes a chunk

    @staticmethod
    def pack(cells: Sequence[str]) -> Any:
        """Keep a column's cells until there are enough rows for a chunk.

        Args:
            cells: Of some rows.
        """
        return cells

    @staticmethod
    def joined(portions: Sequence[Any]) -> Any:
        """Make one column of what was kept.

        Args:
            portions: As `pack` gave them, at least one.
        """
        return portions[0] if len(portions) == 1 else list(chain.from_iterable(portions))

    @staticmethod
    def converter(schema: Mapping[str, Any], *, multiselect_separator: str | None) -> Converter:
        """Give what turns a column of cells into one of values; see `field_types.converter`.

        Args:
            schema: JSON Schema of one property.
            multiselect_separator: Where arrays are split.
        """
        return converter(schema, multiselect_separator=multiselect_separator)


class Decoder:
    """Turns the pages of one stream into records.

    Args:
        schema: The stream's JSON Schema, with only the properties to emit.
        columns: Header of each property's column, by property, without `id`.
        multiselect_separator: Where arrays are split.
        null_if_invalid: Whether a cell that does not parse is null, instead of an error.
        chunk_type: What the records' columns are made of.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        columns: Mapping[str, str],
        *,
        multiselect_separator: str | None,
        null_if_invalid: bool,
        chunk_type: type[Chunk] = Chunk,
    ) -> None:
        self.invalid_values = 0
        self._columns = columns
        self._null_if_invalid = null_if_invalid
        self._chunk_type = chunk_type
        # To convert columns, and to read single cells.
        self._converters, self._readers = (
            {
                name: of(schema["properties"][name], multiselect_separator=multiselect_separator)
                for name in columns
            }
            for of in (chunk_type.converter, converter)
        )

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
        pack = self._chunk_type.pack
        portions: list[list[Any]] = []
        start = 0
        for end, cells in self._cells(page):
            portions.append(list(map(pack, cells)))
            if end - start >= self._chunk_type.csv_bytes:
                yield self._converted(page, portions)
                portions, start = [], end
        if portions:
            yield self._converted(page, portions)

    def _cells(self, page: Page) -> Iterator[tuple[int, list[Sequence[str]]]]:
        """Give a page's cells, of some rows at a time, and how many of its bytes were read so far.

        They come column by column: the ids, then the properties in their order.
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
            rows = csv_rows(text)
            try:
                header = next(rows, None)
                if header is None:
                    raise PageDamagedError(f"{page}: the CSV has no header.")
                places = self._places(page, header)
                while taken := take_rows(rows, raw):
                    columns = _transposed(page, taken, len(header), count)
                    cells: list[Sequence[str]] = [columns[place] for place in places]
                    count += len(cells[0])
                    empty += len(taken) - len(cells[0])
                    if count > page.result.count:
                        break  # There may be no end of rows, so they are not read on.
                    if empty > _MOST_EMPTY_LINES:
                        raise PageDamagedError(f"{page}: the CSV has {empty} empty lines.")
                    # Whether some bytes of the page so far were not UTF-8.
                    self._check(page, cells, look=_not_utf8 != not_utf8)
                    yield raw.count, cells
            except csv.Error as error:
                raise PageDamagedError(f"{page}: the CSV is damaged ({error}).") from error
        if count != page.result.count:
            raise PageDamagedError(
                f"{page}: the CSV has {count} rows, but the job says {page.result.count}."
            )

    def _check(self, page: Page, cells: list[Sequence[str]], *, look: bool) -> None:
        """Check the ids, and take out cells that are not UTF-8 if it is told to look for them."""
        ids = cells[0]
        if not all(ids) or (look and any(map(_search_not_utf8, ids))):
            raise InvalidValueError(
                f"{page}: a row has no id, or a broken one, so no target can tell what record it "
                "is. Report it to Zoho's support."
            )
        if look:
            for place, name in enumerate(self._columns, 1):
                if any(map(_search_not_utf8, cells[place])):
                    cells[place] = self._valid(page, name, ids, cells[place], _utf8)

    def _converted(self, page: Page, portions: list[list[Any]]) -> Chunk:
        """Turn cells into values, column by column."""
        chunk_type = self._chunk_type
        columns = map(chunk_type.joined, zip(*portions, strict=True))
        ids = next(columns)
        values: dict[str, Sequence[Any]] = {"id": ids}
        for name, cells in zip(self._columns, columns, strict=True):
            convert = self._converters[name]
            try:
                values[name] = convert(cells)
            except ValueError:
                valid = self._valid(page, name, ids, cells, self._readers[name])
                values[name] = convert(chunk_type.joined([chunk_type.pack(valid)]))
        return chunk_type(values)

    def _valid(
        self, page: Page, name: str, ids: Iterable[Any], cells: Iterable[Any], read: Converter
    ) -> list[str]:
        """Look at the cells of a column one by one: raise, or make just the invalid ones empty."""
        valid = []
        for cell, record_id in zip(map(str, cells), map(str, ids), strict=True):
            try:
                read([cell])
                valid.append(cell)
            except ValueError as error:  # noqa: PERF203 - it is about single cells
                self._invalid(page, record_id, name, cell, error)
                valid.append("")
        return valid

    def _places(self, page: Page, header: list[str]) -> list[int]:
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
        return [indexes[column] for column in (id_column, *self._columns.values())]

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


def take_rows(rows: Iterator[list[str]], raw: CsvBytes) -> list[list[str]]:
    """Take some rows: many, but as few as keep memory bounded, as cells can be long.

    Args:
        rows: Of the CSV.
        raw: Its bytes.
    """
    raw.allow(_PORTION_BYTES)
    end = raw.count + _PORTION_BYTES
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


def csv_rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Read CSV strictly. Python 3.10's reader refuses NUL, so something stands in for it there.

    Args:
        lines: Text, line by line.
    """
    if _CSV_TAKES_NUL:
        return csv.reader(lines, strict=True)
    masked = (line.replace("\0", _NUL_STAND_IN) for line in lines)
    return (
        [cell.replace(_NUL_STAND_IN, "\0") for cell in row]
        for row in csv.reader(masked, strict=True)
    )


def _utf8(cells: Sequence[str]) -> list[Any]:
    """Raise when there are cells that are not UTF-8."""
    if any(map(_search_not_utf8, cells)):
        raise ValueError("bytes that are not UTF-8")
    return list(cells)


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    shown = ", ".join(f"`{name}`" for name in listed[:5])
    return shown + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")  # noqa: PLR2004
