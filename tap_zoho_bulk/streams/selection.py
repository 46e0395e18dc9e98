"""The selection: what settings and catalog name that is not there, found before anything is read.

Invariant: a sync that would read nothing does not begin, nor one without a stream map that a
setting asks for: it may hide what must not reach the target.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.catalog.discovery import is_wanted
from tap_zoho_bulk.crm.api_names import did_you_mean
from tap_zoho_bulk.streams.deleted_records import DeletedRecordsStream
from tap_zoho_bulk.streams.module import ModuleStream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from singer_sdk import Stream

    from tap_zoho_bulk.settings import Settings


def selection_problems(
    streams: Mapping[str, Stream],
    settings: Settings,
    stream_maps: Any,
    skipped: Collection[str] = (),
) -> Iterator[str]:
    """Yield what keeps a sync from beginning, and what to do about it.

    Args:
        streams: All streams of the catalog, by name.
        settings: The run's settings.
        stream_maps: The SDK's setting of this name.
        skipped: Modules that discovery left out.
    """
    selected = [stream for stream in streams.values() if stream.selected]
    modules = {stream.name for stream in selected if isinstance(stream, ModuleStream)}
    if not selected:
        yield (
            "No stream is selected. Select one in the catalog, or with Meltano by `select` in "
            "meltano.yml."
        )
    elif not (modules or skipped) and all(
        isinstance(stream, DeletedRecordsStream) for stream in selected
    ):
        # If discovery skipped modules, that stream's own error says why.
        yield (
            f"`{DeletedRecordsStream.name}` reads the deletes of the selected modules, and none is "
            "selected. Select one in the catalog, or check `modules` and `exclude_modules`."
        )
    unread = settings.reconcile_ids.keys() - modules
    if unread:
        yield (
            f"`reconcile_ids` names {', '.join(sorted(unread))}, which is not a selected module. "
            "Select it, or correct that setting."
        )
    for name in _mapped(stream_maps):
        if not any(fnmatchcase(stream, name) for stream in (*streams, *skipped)):
            yield (
                f"`stream_maps` names `{name}`, which the catalog does not have."
                f"{did_you_mean(name, streams)} Correct that setting."
            )


def unmatched_options(streams: Mapping[str, Stream], settings: Settings) -> dict[str, str]:
    """Return the modules of `module_options` that a given catalog lacks, and what to do about each.

    Discovery has checked the names against the account's modules, and the account may have lost
    one since then: so the others are read.

    Args:
        streams: All streams of the catalog, by name.
        settings: The run's settings.
    """
    return {
        name: (
            f"`module_options` names `{name}`, which the catalog does not have."
            f"{did_you_mean(name, streams)} Correct that setting, or discover the catalog again."
        )
        for name in settings.module_options
        if name not in streams and is_wanted(name, settings)
    }


def _mapped(stream_maps: Any) -> Iterator[str]:
    """Yield the streams, or patterns of their names, that stream maps apply to."""
    if not isinstance(stream_maps, dict):
        return
    for name, each in stream_maps.items():
        source = each.get("__source__") if isinstance(each, dict) else None
        if source is not None:
            yield str(source)
        elif not name.startswith("__"):
            yield name
