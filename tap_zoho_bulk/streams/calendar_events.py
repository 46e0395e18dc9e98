"""The stream of meetings as calendar events: the module Events, exported as an ICS file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from tap_zoho_bulk.bulk_read.plan import ReadPlan
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.catalog.custom_views import custom_view_id
from tap_zoho_bulk.decode.ics.columns import COLUMNS, KEY
from tap_zoho_bulk.settings import ModuleOptions
from tap_zoho_bulk.streams.bulk_read import BulkReadStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from singer_sdk import Tap

    from tap_zoho_bulk.bulk_read.page import Page
    from tap_zoho_bulk.decode.chunk import Chunk
    from tap_zoho_bulk.run import Run

NAME = "Events_ics"


class EventsIcsStream(BulkReadStream):
    """Calendar events, read completely each time: Zoho supports no replication key for them.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
    """

    name = NAME
    module = "Events"
    """The one module that Zoho exports as ICS."""
    selected_by_default = False
    max_page_records = 20_000

    def __init__(self, tap: Tap, run: Run) -> None:
        schema = {name: column.schema for name, column in COLUMNS.items()}
        super().__init__(tap, run, name=NAME, schema={"type": "object", "properties": schema})
        self.primary_keys = KEY

    @override
    def plan(self) -> ReadPlan:
        """Return the query for meetings, narrowed by the options of their module."""
        settings = self.run.settings
        options = settings.module_options.get(self.module, ModuleOptions())
        query = BulkReadQuery(
            module=self.module,
            fields=(),
            criteria=options.criteria,
            custom_view_id=custom_view_id(self.run.client, settings, self.module, self.spending),
            callback_url=settings.callback_url,
            api_version=settings.api_version,
            file_type="ics",
        )
        properties = self.effective_schema["properties"]
        names = (
            name
            for name in COLUMNS
            if name in KEY or (name in properties and self.mask["properties", name])
        )
        return ReadPlan(query, {name: name for name in names})

    @override
    def decode(
        self, page: Page, columns: Mapping[str, str], chunk_type: type[Chunk]
    ) -> Iterator[Chunk]:
        # Importing its library takes as long as importing all the rest.
        from tap_zoho_bulk.decode.ics.decoder import IcsDecoder  # noqa: PLC0415

        return IcsDecoder(list(columns), invalid=self.invalid_values).chunks(page)
