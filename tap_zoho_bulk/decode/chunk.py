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
        """Give what turns a column of cells into one of values; see `cells.converter`.

        Args:
            schema: JSON Schema of one property.
            multiselect_separator: Where arrays are split.
        """
        return converter(schema, multiselect_separator=multiselect_separator)
