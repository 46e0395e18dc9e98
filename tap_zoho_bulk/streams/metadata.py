"""The metadata streams: an organisation's people, and its data dictionary.

One class reads all of Zoho's lists of that kind; `metadata_lists.py` describes each of them.

Invariant: a list is emitted completely, or the stream fails and targets keep the rows of the last
run.

Source: https://www.zoho.com/crm/developer/docs/api/v8/metadata-apis.html
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_zoho_bulk.api.lists import list_pages
from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.catalog.discovery import list_modules
from tap_zoho_bulk.exceptions import InvalidValueError, MissingScopeError, ZohoRefusedError
from tap_zoho_bulk.streams.full_table import FullTableStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap

    from tap_zoho_bulk.run import Run
    from tap_zoho_bulk.streams.metadata_lists import Column, MetadataList, Row

_PER_PAGE = 200


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
        self._list = metadata_list
        self.scope = metadata_list.scope

    @property
    @override
    def least_credits(self) -> int:
        return 1 + len(self.run.modules()) if self._list.by_module else 1

    @override
    def rows(self) -> Iterator[dict[str, Any]]:
        columns = [column for column in self._list.columns if self.mask["properties", column.name]]
        for row in self._of_all_modules() if self._list.by_module else self._rows():
            key = {name: str(row.get(name) or "") for name in self.primary_keys}
            if not all(key.values()):
                raise InvalidValueError(
                    f"{self.name}: a row has no {' or no '.join(key)}, so it cannot be "
                    "identified. Contact Zoho support if it persists."
                )
            yield {column.name: self._value(column, row, key) for column in columns} | key

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

    def _of_all_modules(self) -> Iterator[Row]:
        """Yield the rows of all modules, requesting those of several in parallel."""
        run = self.run
        names = list_modules(run.client, run.settings, spending=self.spending)
        refused: ZohoRefusedError | None = None
        succeeded = 0
        parallel = run.settings.max_concurrent_requests
        pool = ThreadPoolExecutor(parallel, thread_name_prefix=self.name)
        try:
            waiting = iter(names)
            # Few at a time, so that responses do not pile up while the target is slow.
            pending = deque(
                (name, pool.submit(self._of_module, name)) for name in islice(waiting, parallel)
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
                    (name, pool.submit(self._of_module, name)) for name in islice(waiting, 1)
                )
        finally:
            pool.shutdown(cancel_futures=True)
        if refused is not None and not succeeded:
            raise refused  # The error is not about single modules.

    def _of_module(self, module: str) -> list[Row]:
        listed = [{**row, "module": module} for row in self._rows(module)]
        rows = [row for row in listed if all(row.get(name) for name in self.primary_keys)]
        if len(rows) < len(listed):
            self.logger.warning(
                "Skipping %d of the %s of %s, which have no %s.",
                len(listed) - len(rows),
                self._list.what,
                module,
                self.primary_keys[-1],
            )
        return rows

    def _rows(self, module: str | None = None) -> Iterator[Row]:
        """Yield the rows of a list; of one module's list if a module is given."""
        listed = self._list
        of_module = f" of {module}" if module else ""
        params: dict[str, str | int] = {**listed.params}
        if module is not None:
            params["module"] = module
        if listed.paged:
            params |= {"page": 1, "per_page": _PER_PAGE}
        pages = list_pages(
            self.run.client,
            ApiRequest(
                f"/crm/{self.run.settings.api_version}/{listed.path}",
                params=params,
                what=f"list the {listed.what}{of_module}",
                scope=listed.scope,
                expects=listed.name,
            ),
            spending=self.spending,
        )
        for row in chain.from_iterable(pages if listed.paged else islice(pages, 1)):
            if not isinstance(row, dict):
                raise InvalidValueError(
                    f"{self.name}: one of the {listed.what}{of_module} is not an object. Contact "
                    "Zoho support if it persists."
                )
            yield row
