"""The kinds of streams: which class reads a stream of a catalog, and which an account has."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from singer_sdk.singerlib import Schema

from tap_zoho_bulk.catalog.discovery import DiscoveredModule, with_deleted_at
from tap_zoho_bulk.crm.api_names import is_api_name
from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.exceptions import UnreadableStreamError
from tap_zoho_bulk.streams.bulk_write_results import BulkWriteResultsStream
from tap_zoho_bulk.streams.calendar_events import EventsIcsStream
from tap_zoho_bulk.streams.deleted_records import DeletedRecordsStream
from tap_zoho_bulk.streams.metadata import MetadataStream
from tap_zoho_bulk.streams.metadata_lists import LISTS
from tap_zoho_bulk.streams.module import ModuleStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from singer_sdk import Stream, Tap
    from singer_sdk.singerlib import CatalogEntry

    from tap_zoho_bulk.run import Run

_OTHER_STREAMS: dict[str, Callable[[Tap, Run], Stream]] = {
    DeletedRecordsStream.name: DeletedRecordsStream,
    EventsIcsStream.name: EventsIcsStream,
    **{each.name: partial(MetadataStream, metadata_list=each) for each in LISTS},
    BulkWriteResultsStream.name: BulkWriteResultsStream,
}
"""Streams that are not modules, by name."""
_OF_MODULE = {EventsIcsStream.name: EventsIcsStream.module}
"""Streams that exist only if the account has this module."""

logger = logging.getLogger("tap-zoho-bulk.discovery")


def stream_of_catalog(tap: Tap, run: Run, entry: CatalogEntry) -> Stream:
    """Return the stream of an entry of the given catalog.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
        entry: The entry.

    Raises:
        UnreadableStreamError: When no stream can have its name.
    """
    if entry.tap_stream_id in _OTHER_STREAMS and not _is_module(entry):
        return _OTHER_STREAMS[entry.tap_stream_id](tap, run)
    if not is_api_name(entry.tap_stream_id):
        raise UnreadableStreamError(
            f"The catalog has a stream {entry.tap_stream_id!r}, but modules have names of "
            "letters, digits and underscores. Correct its `tap_stream_id`, or remove it."
        )
    # The catalog may have been discovered with another `emit_deletes`.
    schema = with_deleted_at(entry.schema.to_dict(), run.settings)
    entry.schema = Schema.from_dict(schema)
    module = DiscoveredModule(entry.tap_stream_id, schema, entry.replication_key)
    return ModuleStream(tap, run, module)


def streams_of_account(tap: Tap, run: Run, modules: Iterable[DiscoveredModule]) -> list[Stream]:
    """Return the streams that the account has.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
        modules: As discovered.
    """
    streams = [ModuleStream(tap, run, module) for module in modules]
    # Many targets treat names that differ in the case of letters as the same.
    taken = {stream.name.lower() for stream in streams}
    missing = {
        name
        for name, module in _OF_MODULE.items()
        if module not in {stream.name for stream in streams}
    }
    if not run.settings.bulk_write_job_ids:
        missing.add(BulkWriteResultsStream.name)
    others = []
    for name, stream in _OTHER_STREAMS.items():
        if name.lower() in taken:
            logger.warning("Leaving out the stream %s: a module has its name.", name)
        elif name not in missing:
            others.append(stream(tap, run))
    return [*streams, *others]


def _is_module(entry: CatalogEntry) -> bool:
    """Return whether this catalog entry is a module that shares its name with another stream."""
    properties = entry.schema.to_dict().get("properties", {})
    return any(zoho_type(schema) for schema in properties.values())
