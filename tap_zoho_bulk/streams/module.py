"""The stream of a module: what to ask Zoho for, and how a page's CSV becomes records."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL, Metadata
from typing_extensions import override

from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.bulk_read.rows import Decoder
from tap_zoho_bulk.discovery import related_property
from tap_zoho_bulk.exceptions import UnreadableStreamError
from tap_zoho_bulk.settings import ModuleOptions, parse_instant
from tap_zoho_bulk.streams.bulk_read import BulkReadStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from singer_sdk.singerlib import MetadataMapping

    from tap_zoho_bulk.bulk_read.chain import ChainPage
    from tap_zoho_bulk.bulk_read.rows import Chunk
    from tap_zoho_bulk.settings import Settings
    from tap_zoho_bulk.tap import TapZohoBulk


class ModuleStream(BulkReadStream):
    """Records of one module, by bulk read.

    Args:
        tap: The tap.
        name: API name of the module.
        schema: JSON Schema of its records.
        replication_key: Field that tells what changed, if the module has one.
        unsupported: Properties that bulk read cannot export.
    """

    def __init__(
        self,
        tap: TapZohoBulk,
        *,
        name: str,
        schema: dict[str, Any],
        replication_key: str | None,
        unsupported: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(tap, name=name, schema=schema)
        self.primary_keys = ["id"]
        self.replication_key = replication_key
        self._unsupported = unsupported

    @property
    @override
    def metadata(self) -> MetadataMapping:
        metadata = super().metadata
        for name in self._unsupported:
            metadata["properties", name].inclusion = Metadata.InclusionType.UNSUPPORTED
        return metadata

    # What to read

    @override
    def query(self, settings: Settings) -> BulkReadQuery:
        """Turn the selection, the bookmark and the module's options into a query."""
        options = settings.module_options.get(self.name, ModuleOptions())
        incremental = self.replication_method == REPLICATION_INCREMENTAL
        key = self.effective_schema["properties"].get(self.replication_key, {})
        selected = self.mask["properties", self.replication_key or ""]
        if incremental and (key.get("format") != "date-time" or not selected):
            raise UnreadableStreamError(
                f"{self.name}: `{self.replication_key}` is no selected date-time of this module, "
                "so it cannot be the replication key. Choose `Modified_Time`, or FULL_TABLE "
                "replication."
            )
        columns = self.columns(settings)
        self._check_arrays(columns, settings)
        return BulkReadQuery(
            module=self.name,
            fields=tuple(columns.values()),
            replication_key=self.replication_key if incremental else None,
            since=self._since(settings) if incremental else None,
            criteria=options.criteria,
            custom_view_id=options.custom_view_id,
            callback_url=settings.callback_url,
            api_version=settings.api_version,
        )

    def columns(self, settings: Settings) -> dict[str, str]:
        """Name the CSV column, which is the field to ask for, of each selected property but `id`.

        Args:
            settings: The run's settings.
        """
        options = settings.module_options.get(self.name, ModuleOptions())
        related = {related_property(field): field for field in options.related_fields}
        properties = self.effective_schema["properties"]
        for name in related.keys() - properties.keys():
            self.logger.warning(
                "The related field `%s` is not in the catalog; discover it again to have it.",
                related[name],
            )
        return {
            name: related.get(name, name)
            for name in properties
            if name != "id" and self.mask["properties", name]
        }

    def _check_arrays(self, columns: Iterable[str], settings: Settings) -> None:
        """Raise when the catalog has arrays that nothing says how to split into."""
        for name in columns:
            types = self.effective_schema["properties"][name].get("type", ())
            if "array" in types and settings.multiselect_separator is None:
                raise UnreadableStreamError(
                    f"{self.name}: `{name}` is an array in the catalog. Set "
                    "`multiselect_separator`, or discover the catalog again."
                )

    def _since(self, settings: Settings) -> datetime | None:
        """Give the first instant to read: behind the bookmark, but not before `start_date`."""
        bookmark = self.bookmark(self.stream_state)
        if bookmark is None:
            return settings.start_date
        since = parse_instant(bookmark) - timedelta(seconds=settings.lookback_seconds)
        return since if settings.start_date is None else max(since, settings.start_date)

    # Records out

    @override
    def decode(self, page: ChainPage) -> Iterator[Chunk]:
        settings = self.zoho_tap.settings
        decoder = Decoder(
            self.effective_schema,
            {
                name: column
                for name, column in self.columns(settings).items()
                if column not in page.position.rejected
            },
            multiselect_separator=settings.multiselect_separator,
            null_if_invalid=settings.on_invalid_value == "null",
        )
        try:
            yield from decoder.chunks(page.page)
        finally:
            self.zoho_tap.summary[self.name].invalid_values += decoder.invalid_values
