"""Reconciliation: which records of a warehouse Zoho no longer has.

A tap does not know what a warehouse has, so the user gives it the ids, in a file. All ids of the
module are then read, and those of the file that are missing are gone.

Invariant: an id counts as gone only if every page of the module's ids was read completely.
"""

from __future__ import annotations

import csv
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from tap_zoho_bulk.bulk_read.chain import Chain
from tap_zoho_bulk.bulk_read.job import BulkReadJobs
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.decode.csv_page import CsvDecoder
from tap_zoho_bulk.decode.invalid_values import InvalidValues
from tap_zoho_bulk.exceptions import PageDamagedError, UnreadableStreamError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_zoho_bulk.reporting.spending import Spending
    from tap_zoho_bulk.run import Run

_MAX_ID = 2**64 - 1
_MAX_DIGITS = 20
_EXPORT = "Export the column `id` of the module's table, one id on each line."
_GONE_ROWS = 500


class KnownIds:
    """The ids that a warehouse has, 9 bytes each, and whether Zoho has them.

    Args:
        ids: In any order; some may be there more than once.
    """

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = array("Q", sorted(array("Q", ids)))
        self._found = bytearray(len(self._ids))
        self.unknown = 0
        """Number of Zoho's records that are not among them."""

    @classmethod
    def from_file(cls, path: str) -> KnownIds:
        """Read the first column of a CSV file, or a text file with an id on each line.

        Args:
            path: Of the file. Its first line may be a header.

        Raises:
            UnreadableStreamError: When the file cannot be read, a line has no id, or none has.
        """
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
                known = cls(_ids_in(path, csv.reader(file)))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UnreadableStreamError(
                f"{path} in `reconcile_ids` cannot be read: {error}."
            ) from error
        if not len(known):
            raise UnreadableStreamError(f"{path} in `reconcile_ids` has no ids. {_EXPORT}")
        return known

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def any_found(self) -> bool:
        """Whether Zoho has any of them."""
        return any(self._found)

    def found(self, ids: Iterable[str]) -> None:
        """Note ids that Zoho has.

        Args:
            ids: As Zoho exports them.
        """
        for each in map(int, ids):
            first, end = bisect_left(self._ids, each), bisect_right(self._ids, each)
            self._found[first:end] = b"\1" * (end - first)
            self.unknown += first == end

    def gone(self) -> Iterator[list[str]]:
        """Yield the ids that Zoho does not have, many at a time."""
        gone: list[str] = []
        for each, is_found in zip(self._ids, self._found, strict=True):
            if not is_found:
                gone.append(str(each))
            if len(gone) == _GONE_ROWS:
                yield gone
                gone = []
        if gone:
            yield gone


def _ids_in(path: str, rows: Iterable[list[str]]) -> Iterator[int]:
    for number, row in enumerate(rows, 1):
        text = row[0].strip() if row else ""
        # Python refuses to parse thousands of digits.
        is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
        if is_number and int(text) <= _MAX_ID:
            yield int(text)
        elif text and number > 1:
            raise UnreadableStreamError(
                f"{path} in `reconcile_ids`: line {number} has no id of a record. {_EXPORT}"
            )


def find_in_zoho(run: Run, query: BulkReadQuery, known: KnownIds, spending: Spending) -> str | None:
    """Note which ids Zoho has, by jobs that export as little as possible.

    Args:
        run: What the streams of this run share.
        query: Of the module's stream. Its criteria and its view do not count: a record outside
            them is not gone.
        known: The ids of the warehouse.
        spending: Also counts the cost, besides the run's own.

    Returns:
        When the first job was created, by Zoho's clock, in UTC form.

    Raises:
        PageDamagedError: When a page is incomplete.
        TapZohoBulkError: As `Chain.follow` does.
    """
    # Without a field, Zoho would export all of them. The id is always exported.
    field = query.replication_key or next(iter(query.fields), None)
    ids = BulkReadQuery(
        module=query.module,
        fields=(field,) if field is not None else (),
        callback_url=query.callback_url,
        api_version=query.api_version,
    )
    chain = Chain(ids, jobs=BulkReadJobs(run.client, run.downloader, run.settings, spending))
    decoder = CsvDecoder(
        {}, {}, multiselect_separator=None, invalid=InvalidValues(become_null=False)
    )
    started = None
    try:
        for read in chain.follow(Position()):
            started = started or read.position.started
            try:
                for chunk in decoder.chunks(read.page):
                    known.found(chunk.columns["id"])
            except ValueError as error:
                raise PageDamagedError(f"{read.page}: an id is not a number ({error}).") from error
            finally:
                read.page.close()
    finally:
        chain.release()
    return started
