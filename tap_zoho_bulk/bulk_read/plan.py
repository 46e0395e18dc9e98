"""The plan: the query of a stream, and the column of each property."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_bulk.bulk_read.position import Position
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery


@dataclass(frozen=True)
class ReadPlan:
    """What one stream reads in this run.

    Args:
        query: The query to export.
        columns: Column of each property to emit, which is the field in the query.
    """

    query: BulkReadQuery
    columns: Mapping[str, str]

    def columns_at(self, position: Position) -> dict[str, str]:
        """Return the columns of a page, without the fields that Zoho rejected.

        Args:
            position: Of the page.
        """
        return {
            name: column for name, column in self.columns.items() if column not in position.rejected
        }
