"""The metadata streams: an organisation's people, and its data dictionary.

One class reads all of Zoho's lists of that kind; what tells them apart stands in `sources.py`.

Invariant: a list goes out whole, or the stream fails and targets keep the rows of the run before.

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
    from tap_zoho_bulk.streams.metadata_lists import Column, Row, Source

_PER_PAGE = 200


class MetadataStream(FullTableStream):
    """One of Zoho's lists: users, roles, fields and the like.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
        source: Which.
    """

    selected_by_default = False  # Some need scopes that modules do not.

    def __init__(self, tap: Tap, run: Run, source: Source) -> None:
        super().__init__(tap, run, name=source.name, schema=source.schema)
        self.primary_keys = list(source.key)
        self._source = source

    @override
    def rows(self) -> Iterator[dict[str, Any]]:
        columns = [
            column for column in self._source.columns if self.mask["properties", column.name]
        ]
        for row in self._of_all_modules() if self._source.by_module else self._list():
            key = {name: str(row.get(name) or "") for name in self.primary_keys}
            if not all(key.values()):
                raise InvalidValueError(
                    f"{self.name}: a row has no {' or no '.join(key)}, so no target can tell what "
                    "it is about. Report it to Zoho's support."
                )
            yield {column.name: self._value(column, row, key) for column in columns} | key

    def _value(self, column: Column, row: Row, key: dict[str, str]) -> Any:
        """Read a value; raise when it cannot be of its type, or make it null, as settings tell."""
        try:
            return column.read(row)
        except ValueError as error:
            self.invalid_values.reject(
                f"{self.name}: {', '.join(key.values())}: `{column.name}` has a value that is not "
                f"what its type needs ({error})",
                error,
                remedy="Deselect the property",
            )
            return None

    # Requests

    def _of_all_modules(self) -> Iterator[Row]:
        """Give the rows of each module, asking for those of several at once."""
        run = self.run
        names = list_modules(run.client, run.settings, spending=self.spending)
        refused: ZohoRefusedError | None = None
        answered = 0
        at_once = run.settings.max_concurrent_requests
        pool = ThreadPoolExecutor(at_once, thread_name_prefix=self.name)
        try:
            waiting = iter(names)
            # No more of them at a time, so that answers do not pile up while the target is slow.
            asked = deque(
                (name, pool.submit(self._of_module, name)) for name in islice(waiting, at_once)
            )
            while asked:
                name, answer = asked.popleft()
                try:
                    rows = answer.result()
                except MissingScopeError:
                    raise
                except ZohoRefusedError as error:
                    refused = error
                    self.logger.warning(
                        "Skipping the %s of %s: Zoho answered %s (HTTP %d).",
                        self._source.what,
                        name,
                        error.code,
                        error.status,
                    )
                else:
                    answered += 1
                    yield from rows
                asked.extend(
                    (name, pool.submit(self._of_module, name)) for name in islice(waiting, 1)
                )
        finally:
            pool.shutdown(cancel_futures=True)
        if refused is not None and not answered:
            raise refused  # It is not about single modules.

    def _of_module(self, module: str) -> list[Row]:
        listed = [{**row, "module": module} for row in self._list(module)]
        rows = [row for row in listed if all(row.get(name) for name in self.primary_keys)]
        if len(rows) < len(listed):
            self.logger.warning(
                "Skipping %d of the %s of %s, which have no %s.",
                len(listed) - len(rows),
                self._source.what,
                module,
                self.primary_keys[-1],
            )
        return rows

    def _list(self, module: str | None = None) -> Iterator[Row]:
        """Yield the rows of a list; of one module's list if a module is given."""
        source = self._source
        of_module = f" of {module}" if module else ""
        params: dict[str, str | int] = {**source.params}
        if module is not None:
            params["module"] = module
        if source.paged:
            params |= {"page": 1, "per_page": _PER_PAGE}
        pages = list_pages(
            self.run.client,
            ApiRequest(
                f"/crm/{self.run.settings.api_version}/{source.path}",
                params=params,
                what=f"list the {source.what}{of_module}",
                scope=source.scope,
                expects=source.name,
            ),
            spending=self.spending,
        )
        for row in chain.from_iterable(pages if source.paged else islice(pages, 1)):
            if not isinstance(row, dict):
                raise InvalidValueError(
                    f"{self.name}: among the {source.what}{of_module} is one that is no "
                    "object. Report it to Zoho's support."
                )
            yield row
