"""The metadata streams: an organisation's people, its data dictionary, and other lists of Zoho's.

One class reads all of these lists; `metadata_lists.py` describes each of them.

Invariant: a list is emitted completely, or the stream fails, targets keep the rows of the last run,
and the bookmark stays.

Source: https://www.zoho.com/crm/developer/docs/api/v8/metadata-apis.html
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from typing_extensions import override

from tap_zoho_bulk.api.lists import list_pages
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.catalog.discovery import list_modules
from tap_zoho_bulk.crm.timestamps import parse_instant
from tap_zoho_bulk.exceptions import InvalidValueError, MissingScopeError, ZohoRefusedError
from tap_zoho_bulk.streams.full_table import FullTableStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap

    from tap_zoho_bulk.run import Run
    from tap_zoho_bulk.streams.list_columns import Column, MetadataList, Parents, Row

_PER_PAGE = 200
_OVERLAP = timedelta(minutes=10)
"""Each run reads these minutes before its bookmark again: rows may appear in a list late."""
_NOT_ENABLED = frozenset({"CURRENCIES_NOT_ENABLED", "FEATURE_NOT_ENABLED", "FEATURE_NOT_SUPPORTED"})
"""What Zoho responds with for a list of a feature that the organisation does not use."""


class MetadataStream(FullTableStream):
    """One of Zoho's lists: users, roles, fields and the like.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
        metadata_list: The list to read.
    """

    selected_by_default = False  # Some lists need further scopes.

    def __init__(self, tap: Tap, run: Run, metadata_list: MetadataList) -> None:
        super().__init__(tap, run, name=metadata_list.name, schema=metadata_list.schema)
        self.primary_keys = list(metadata_list.key)
        self.replication_key = metadata_list.replication_key
        self._list = metadata_list
        self.scope = metadata_list.scope

    @property
    @override
    def least_credits(self) -> int:
        of = self._list.of
        if of is None:
            return 1
        return 1 + (len(self.run.modules()) if of.listed is None else 1)

    @override
    def rows(self) -> Iterator[dict[str, Any]]:
        columns = [column for column in self._list.columns if self.mask["properties", column.name]]
        latest = self._bookmark()
        for row in self._listed_rows(latest):
            key = {name: str(row.get(name) or "") for name in self.primary_keys}
            if not all(key.values()):
                raise InvalidValueError(
                    f"{self.name}: a row has no {' or no '.join(key)}, so it cannot be "
                    "identified. Contact Zoho support if it persists."
                )
            record = {column.name: self._value(column, row, key) for column in columns} | key
            yield record
            if self.replication_key:
                latest = max(latest or "", record[self.replication_key] or "") or None
        if latest is not None and self.replication_method == REPLICATION_INCREMENTAL:
            self.stream_state["replication_key"] = self.replication_key
            self.stream_state["replication_key_value"] = latest
            self.state_changed()

    def _bookmark(self) -> str | None:
        """Return the instant from which on rows are due; None for all."""
        if self.replication_method != REPLICATION_INCREMENTAL:
            return None
        start_date = self.run.settings.start_date
        started = start_date.isoformat() if start_date else None
        return self.bookmark(self.stream_state) or started

    def _value(self, column: Column, row: Row, key: dict[str, str]) -> Any:
        """Return a value; if it is invalid, raise or return None, as `on_invalid_value` says."""
        try:
            return column.read(row)
        except ValueError as error:
            self.invalid_values.reject(
                f"{self.name}: {', '.join(key.values())}: `{column.name}` has a value that does "
                f"not parse as its type ({error})",
                error,
                remedy="Deselect the property",
            )
            return None

    # Requests

    def _listed_rows(self, since: str | None) -> Iterator[Row]:
        """Yield the rows; none if the organisation does not use what they are about."""
        of = self._list.of
        try:
            yield from self._rows(self._list, since=since) if of is None else self._of_all(of)
        except ZohoRefusedError as error:
            if error.code not in _NOT_ENABLED:
                raise
            self.logger.info("There are no %s: Zoho responded with %s.", self.name, error.code)

    def _parents(self, of: Parents) -> list[str]:
        """Return the parents, by name or id."""
        run = self.run
        if of.listed is None:
            return list_modules(run.client, run.settings, spending=self.spending)
        return [str(row["id"]) for row in self._rows(of.listed) if row.get("id")]

    def _of_all(self, of: Parents) -> Iterator[Row]:
        """Yield the rows of all parents, requesting those of several in parallel."""
        run = self.run
        names = self._parents(of)
        refused: ZohoRefusedError | None = None
        succeeded = 0
        parallel = run.settings.max_concurrent_requests
        pool = ThreadPoolExecutor(parallel, thread_name_prefix=self.name)
        try:
            waiting = iter(names)
            # Few at a time, so that responses do not pile up while the target is slow.
            pending = deque(
                (name, pool.submit(self._of_one, of, name)) for name in islice(waiting, parallel)
            )
            while pending:
                name, future = pending.popleft()
                try:
                    rows = future.result()
                except MissingScopeError:
                    raise
                except ZohoRefusedError as error:
                    refused = error
                    self.logger.warning(
                        "Skipping the %s of %s: Zoho responded with %s (HTTP %d).",
                        self._list.what,
                        name,
                        error.code,
                        error.status,
                    )
                else:
                    succeeded += 1
                    yield from rows
                pending.extend(
                    (name, pool.submit(self._of_one, of, name)) for name in islice(waiting, 1)
                )
        finally:
            pool.shutdown(cancel_futures=True)
        if refused is not None and not succeeded:
            raise refused  # The error is not about single parents.

    def _of_one(self, of: Parents, parent: str) -> list[Row]:
        listed = [{**row, of.name: parent} for row in self._rows(self._list, parent)]
        rows = [row for row in listed if all(row.get(name) for name in self.primary_keys)]
        if len(rows) < len(listed):
            self.logger.warning(
                "Skipping %d of the %s of %s, which have no %s.",
                len(listed) - len(rows),
                self._list.what,
                parent,
                self.primary_keys[-1],
            )
        return rows

    def _rows(
        self, listed: MetadataList, parent: str | None = None, *, since: str | None = None
    ) -> Iterator[Row]:
        """Yield the rows of a list; of one parent's list if a parent is given."""
        of_parent = f" of {parent}" if parent else ""
        params: dict[str, str | int] = {**listed.params}
        if listed.of is not None and parent is not None and "{}" not in listed.path:
            params[listed.of.name] = parent
        headers = {}
        if since is not None:
            from_here = parse_instant(since) - _OVERLAP
            headers["If-Modified-Since"] = from_here.replace(microsecond=0).isoformat()
        if listed.paged:
            params |= {"page": 1, "per_page": _PER_PAGE}
        pages = list_pages(
            self.run.client,
            ApiRequest(
                f"/crm/{self.run.settings.api_version}/{listed.path.format(parent)}",
                params=params,
                headers=headers,
                what=f"list the {listed.what}{of_parent}",
                scope=listed.scope,
                expects=listed.listed_as or listed.name,
            ),
            spending=self.spending,
        )
        for row in chain.from_iterable(pages if listed.paged else islice(pages, 1)):
            if not isinstance(row, dict):
                raise InvalidValueError(
                    f"{self.name}: one of the {listed.what}{of_parent} is not an object. Contact "
                    "Zoho support if it persists."
                )
            yield row
