"""The stream of meetings as calendar events: what the module Events is in an ICS file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.decode.ics.columns import COLUMNS, KEY
from tap_zoho_bulk.settings import ModuleOptions
from tap_zoho_bulk.streams.bulk_read import BulkReadStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.bulk_read.chain import ChainPage
    from tap_zoho_bulk.decode.csv_page import Chunk
    from tap_zoho_bulk.settings import Settings
    from tap_zoho_bulk.tap import TapZohoBulk

NAME = "Events_ics"


class EventsIcsStream(BulkReadStream):
    """Calendar events, by bulk read, whole each time: Zoho takes no replication key from them.

    Args:
        tap: The tap.
    """

    name = NAME
    module = "Events"
    """The one module that Zoho exports as ICS."""
    selected_by_default = False

    def __init__(self, tap: TapZohoBulk) -> None:
        schema = {name: column.schema for name, column in COLUMNS.items()}
        super().__init__(tap, name=NAME, schema={"type": "object", "properties": schema})
        self.primary_keys = KEY

    @override
    def query(self, settings: Settings) -> BulkReadQuery:
        """Ask for the meetings that the options of their module narrow down to."""
        options = settings.module_options.get(self.module, ModuleOptions())
        return BulkReadQuery(
            module=self.module,
            fields=(),
            criteria=options.criteria,
            custom_view_id=self.custom_view_id(self.module, options),
            callback_url=settings.callback_url,
            api_version=settings.api_version,
            file_type="ics",
        )

    @override
    def decode(self, page: ChainPage) -> Iterator[Chunk]:
        # Its library takes as long to load as all the rest.
        from tap_zoho_bulk.decode.ics.decoder import EventDecoder  # noqa: PLC0415

        properties = self.effective_schema["properties"]
        decoder = EventDecoder(
            [
                name
                for name in COLUMNS
                if name in KEY or (name in properties and self.mask["properties", name])
            ],
            null_if_invalid=self.zoho_tap.settings.on_invalid_value == "null",
        )
        try:
            yield from decoder.chunks(page.page)
        finally:
            self.zoho_tap.summary[self.name].invalid_values += decoder.invalid_values
