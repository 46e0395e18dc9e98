"""The chunk: some records, column by column, on their way from a page to a target."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.decode.cells import converter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_zoho_bulk.decode.cells import Converter


class Chunk:
    """Some records, column by column: lists of Python values.

    A derived class may make other columns of the cells, and larger chunks.

    Args:
        columns: Values by property, each in the records' order.
    """

    csv_bytes = 0
    """Minimum CSV bytes per chunk."""

    def __init__(self, columns: dict[str, Sequence[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the records one at a time."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def part(self, start: int, end: int) -> Chunk:
        """Return some of the records.

        Args:
            start: Index of the first.
            end: Index after the last; it may be past the end.
        """
        if start == 0 and end >= len(self):
            return self
        return type(self)({name: values[start:end] for name, values in self.columns.items()})

    def maximum(self, name: str) -> str | None:
        """Return the maximum of a property of texts; None if no record has a value.

        Args:
            name: The property; the records may lack it.
        """
        return max(filter(None, self.columns.get(name, ())), default=None)

    # How a chunk is made

    @staticmethod
    def parsed(rows: bytes, width: int, places: Sequence[int]) -> list[Any] | None:
        """Return columns of cells, to be packed; None leaves it to Python's CSV reader.

        Args:
            rows: Complete rows of a CSV with regular quotes.
            width: How many cells a row has.
            places: The columns to return; the first one must not have an empty cell.
        """
        del rows, width, places
        return None

    @staticmethod
    def pack(cells: Any) -> Any:
        """Return a column's cells in the form in which they are buffered for a chunk.

        Args:
            cells: Of some rows: texts, or what `parsed` returned.
        """
        return cells

    @staticmethod
    def joined(portions: Sequence[Any]) -> Any:
        """Return one column of buffered cells.

        Args:
            portions: What `pack` returned, at least one.
        """
        return portions[0] if len(portions) == 1 else list(chain.from_iterable(portions))

    @staticmethod
    def converter(schema: Mapping[str, Any], *, multiselect_separator: str | None) -> Converter:
        """Return what turns a column of cells into values; see `cells.converter`.

        Args:
            schema: JSON Schema of one property.
            multiselect_separator: What separates the items of an array.
        """
        return converter(schema, multiselect_separator=multiselect_separator)
