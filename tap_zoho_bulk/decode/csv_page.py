"""Rows to records: a page's CSV, checked row by row and converted column by column.

Invariant: a page whose records were all yielded is complete: its ZIP's CRC is correct, its header
has every requested field, every row has the header's width, and there are `result.count` rows.
Columns are found by name; their order and additional columns do not matter.
"""

from __future__ import annotations

import csv
import io
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.decode.cells import converter
from tap_zoho_bulk.decode.chunk import Chunk
from tap_zoho_bulk.decode.csv_block import take_block
from tap_zoho_bulk.decode.csv_file import csv_rows, open_csv, read_header, take_rows
from tap_zoho_bulk.exceptions import InvalidValueError, PageDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_zoho_bulk.bulk_read.page import Page
    from tap_zoho_bulk.decode.cells import Converter
    from tap_zoho_bulk.decode.invalid_values import InvalidValues

ID_COLUMNS = ("Id", "id")
"""Zoho's header of the id: the first in files that were seen, the second in its documentation."""

_READ_BYTES = 1 << 16
_MAX_EMPTY_LINES = 1000
_MAX_LISTED_NAMES = 5

_search_not_utf8 = re.compile(r"[\udc80-\udcff]").search  # as the codec `surrogateescape` marks it


class CsvDecoder:
    """Decoder of the pages of one stream.

    Args:
        schema: The stream's JSON Schema, with only the properties to emit.
        columns: Header of each property's column, by property, without `id`.
        multiselect_separator: What separates the items of an array.
        invalid: The policy for cells that do not parse.
        chunk_type: The chunk class that the output format prefers.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        columns: Mapping[str, str],
        *,
        multiselect_separator: str | None,
        invalid: InvalidValues,
        chunk_type: type[Chunk] = Chunk,
    ) -> None:
        self._columns = columns
        self._invalid = invalid
        self._chunk_type = chunk_type
        # The first converts columns, the second finds invalid cells.
        self._converters, self._readers = (
            {
                name: of(schema["properties"][name], multiselect_separator=multiselect_separator)
                for name in columns
            }
            for of in (chunk_type.converter, converter)
        )

    def records(self, page: Page) -> Iterator[dict[str, Any]]:
        """Yield a page's records one at a time; otherwise as `chunks`."""
        return chain.from_iterable(self.chunks(page))

    def chunks(self, page: Page) -> Iterator[Chunk]:
        """Yield a page's records, many at a time, in the CSV's order.

        Args:
            page: As downloaded.

        Raises:
            InvalidValueError: When a cell does not parse as its field's type, or an id is empty.
            PageDamagedError: When the page is incomplete; records may have been yielded.
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

    def _cells(self, page: Page) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the cells of some rows at a time, and how many bytes of the page were read so far.

        The cells are in columns, to be packed: the ids, then the properties in their order.
        """
        count = empty = 0
        with open_csv(page.archive) as raw:
            try:
                header = read_header(raw)
                if header is None:
                    raise PageDamagedError(f"{page}: the CSV has no header.")
                places = self._places(page, header)
                while count <= page.result.count and (block := take_block(raw)):
                    parsed = self._chunk_type.parsed(block, len(header), places)
                    if parsed is None:
                        raw.unread(block)
                        break  # These rows, and all that follow, go to Python's reader.
                    count += len(parsed[0])
                    if count <= page.result.count:
                        yield raw.count, parsed
                text = io.TextIOWrapper(
                    io.BufferedReader(raw, _READ_BYTES),
                    encoding="utf-8",
                    errors="surrogateescape",
                    newline="",
                )
                rows = csv_rows(text)
                while count <= page.result.count and (taken := take_rows(rows, raw)):
                    transposed = _transposed(page, taken, len(header), count)
                    cells: list[Sequence[str]] = [transposed[place] for place in places]
                    count += len(cells[0])
                    empty += len(taken) - len(cells[0])
                    if count > page.result.count:
                        break  # There may be rows without end, so stop reading.
                    if empty > _MAX_EMPTY_LINES:
                        raise PageDamagedError(f"{page}: the CSV has {empty} empty lines.")
                    # Searching every cell is slow, so search only if the file needs it.
                    self._check(page, cells, search=not raw.is_utf8)
                    yield raw.count, cells
            except csv.Error as error:
                raise PageDamagedError(f"{page}: the CSV is damaged ({error}).") from error
        if count != page.result.count:
            raise PageDamagedError(
                f"{page}: the CSV has {count} rows, but the job reports {page.result.count}."
            )

    def _check(self, page: Page, cells: list[Sequence[str]], *, search: bool) -> None:
        """Check the ids. If `search` is set, also reject or null cells that are not UTF-8."""
        ids = cells[0]
        if not all(ids) or (search and any(map(_search_not_utf8, ids))):
            raise InvalidValueError(
                f"{page}: a row has no id or an invalid one, so its record cannot be identified. "
                "Contact Zoho support if it persists."
            )
        if search:
            for place, name in enumerate(self._columns, 1):
                if any(map(_search_not_utf8, cells[place])):
                    cells[place] = self._valid(page, name, ids, cells[place], _utf8)

    def _converted(self, page: Page, portions: list[list[Any]]) -> Chunk:
        """Return the chunk of buffered cells, converted column by column."""
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
        """Check the cells of a column one at a time: raise, or return the invalid ones empty."""
        valid = []
        for cell, record_id in zip(map(str, cells), map(str, ids), strict=True):
            try:
                read([cell])
                valid.append(cell)
            except ValueError as error:  # noqa: PERF203 - each cell may be invalid
                self._invalid.reject(
                    f"{page}: record {record_id}: `{name}` has a value of {len(cell)} characters "
                    f"that does not parse as its type ({error})",
                    error,
                    remedy=(
                        "If the field has another type in Zoho by now, discover the catalog again. "
                        "Otherwise correct the value in Zoho, deselect the field"
                    ),
                )
                valid.append("")
        return valid

    def _places(self, page: Page, header: list[str]) -> list[int]:
        """Return the indexes in a row of the id, which comes first, and of each property."""
        indexes = {name: index for index, name in enumerate(header)}
        missing = [column for column in self._columns.values() if column not in indexes]
        id_column = next((name for name in ID_COLUMNS if name in indexes), None)
        if id_column is None:
            missing.insert(0, "id")
        if id_column is None or missing:
            raise PageDamagedError(
                f"{page}: the CSV lacks {_listed(missing)}. If it persists, discover the catalog "
                "again or deselect what is missing."
            )
        repeated = {name for name in (id_column, *self._columns.values()) if header.count(name) > 1}
        if repeated:
            raise PageDamagedError(f"{page}: the CSV has {_listed(repeated)} more than once.")
        return [indexes[column] for column in (id_column, *self._columns.values())]


def _transposed(
    page: Page, rows: list[list[str]], width: int, before: int
) -> list[tuple[str, ...]]:
    """Return rows as columns; raise if a row does not have the header's width."""
    try:
        columns = list(zip(*rows, strict=True))
    except ValueError:
        columns = []
    if len(columns) == width:
        return columns
    rows = [row for row in rows if row]  # An empty line is not a row; the count shows missing rows.
    for number, row in enumerate(rows, before + 1):
        if len(row) != width:
            raise PageDamagedError(
                f"{page}: row {number} has {len(row)} cells, the header {width}."
            )
    return list(zip(*rows, strict=True)) or [()] * width


def _utf8(cells: Sequence[str]) -> list[Any]:
    """Return cells as they are; raise ValueError if one is not valid UTF-8."""
    if any(map(_search_not_utf8, cells)):
        raise ValueError("bytes that are not UTF-8")
    return list(cells)


def _listed(names: Iterable[str]) -> str:
    """Return the first names, for messages."""
    in_order = sorted(names)
    shown = ", ".join(f"`{name}`" for name in in_order[:_MAX_LISTED_NAMES])
    more = len(in_order) - _MAX_LISTED_NAMES
    return shown + (f" and {more} more" if more > 0 else "")
