"""The tap: discovery, the order of streams, and what they share while they sync.

Invariant: with a catalog given, a sync makes no metadata call; one stream's failure leaves the
others whole, and the run ends with an error that names it.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from typing_extensions import override

from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.bulk_read.chain import Chain
from tap_zoho_bulk.bulk_read.feeds import BulkReadRunner
from tap_zoho_bulk.bulk_read.job import BulkReadJobs
from tap_zoho_bulk.bulk_read.page import Spool
from tap_zoho_bulk.catalog.discovery import discover_modules, list_modules
from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.emit.record_lines import ChunkWriter
from tap_zoho_bulk.exceptions import (
    StoppedError,
    StreamsFailedError,
    TapZohoBulkError,
    TargetGoneError,
)
from tap_zoho_bulk.reporting.events import event
from tap_zoho_bulk.reporting.summary import Summary
from tap_zoho_bulk.settings import (
    CONFIG_JSONSCHEMA,
    SECRET_SETTINGS,
    Settings,
    config_problems,
    numbers_from_text,
)
from tap_zoho_bulk.streams.bulk_read import BulkReadStream
from tap_zoho_bulk.streams.bulk_write_results import BulkWriteResultsStream
from tap_zoho_bulk.streams.calendar_events import EventsIcsStream
from tap_zoho_bulk.streams.deleted_records import DeletedRecordsStream
from tap_zoho_bulk.streams.metadata import MetadataStream
from tap_zoho_bulk.streams.metadata_lists import SOURCES
from tap_zoho_bulk.streams.module import ModuleStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    from singer_sdk import Stream
    from singer_sdk.mapper import PluginMapper
    from singer_sdk.singerlib import CatalogEntry

    from tap_zoho_bulk.bulk_read.chain import Position
    from tap_zoho_bulk.bulk_read.feeds import Feed

_OTHER_STREAMS: dict[str, Callable[[TapZohoBulk], Stream]] = {
    DeletedRecordsStream.name: DeletedRecordsStream,
    EventsIcsStream.name: EventsIcsStream,
    **{source.name: partial(MetadataStream, source=source) for source in SOURCES},
    BulkWriteResultsStream.name: BulkWriteResultsStream,
}
"""Those that are no modules, by name."""
_OF_MODULE = {EventsIcsStream.name: EventsIcsStream.module}
"""The module without which a stream is not there."""


class TapZohoBulk(Tap):
    """Singer tap for Zoho CRM, built on the Bulk Read API."""

    name = "tap-zoho-bulk"
    config_jsonschema = CONFIG_JSONSCHEMA
    dynamic_catalog = True  # so that --discover checks the settings, too
    message_writer_class = ChunkWriter
    stopped_by: ClassVar[int | None] = None
    """The signal that told the process to stop, if one did."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._settings: Settings | None = None
        self._client: ZohoClient | None = None
        self._feeds: dict[str, Feed] | None = None
        self._not_started: dict[str, Exception] = {}
        self._runner: BulkReadRunner | None = None
        self.summary = Summary()
        super().__init__(*args, **kwargs)

    # What streams share

    @property
    def settings(self) -> Settings:
        """The run's settings."""
        if self._settings is None:
            self._settings = Settings.from_config(self.config)
        return self._settings

    @property
    def client(self) -> ZohoClient:
        """Zoho's API."""
        if self._client is None:
            self._client = ZohoClient(self.settings)
        return self._client

    def feed(self, stream: str) -> Feed:
        """Give a stream's pages. The first call starts the chains of all selected streams.

        Args:
            stream: Name of the stream.

        Raises:
            UnreadableStreamError: When catalog or state ask of it what cannot be.
        """
        if self._feeds is None:
            self._feeds = self._start_chains()
        if stream in self._not_started:
            raise self._not_started[stream]
        return self._feeds[stream]

    def selected_modules(self) -> list[str]:
        """Name the selected streams that are modules, in the order in which they sync."""
        return [
            name
            for name, stream in self.streams.items()
            if isinstance(stream, ModuleStream) and stream.selected and not stream.is_removed
        ]

    def drop_feed(self, stream: str) -> None:
        """Forget where a stream stands: it is at its end, or cannot go on from there.

        Args:
            stream: Name of the stream.
        """
        if self._feeds is not None:
            self._feeds.pop(stream, None)

    def note_progress(self) -> None:
        """Put into the state where each chain under way stands."""
        for name, feed in (self._feeds or {}).items():
            stream = self.streams[name]
            if isinstance(stream, BulkReadStream):
                stream.note_progress(feed)

    def stream_failed(self, stream: str, error: Exception) -> None:
        """Note that a stream failed; the run goes on unless `on_stream_error` is `abort`.

        Args:
            stream: Name of the stream.
            error: Why.
        """
        self.summary.failed(stream, error)
        if self.settings.on_stream_error == "abort":
            raise error
        known = type(error).__module__.startswith("tap_zoho_bulk")
        self.logger.error(
            "%s failed; its bookmark has not moved. %s",
            stream,
            error,
            exc_info=None if known else error,
        )

    def close(self) -> None:
        """End all worker threads, and give back the disk space of pages."""
        if self._client is not None:
            self._client.close()
        if self._runner is not None:
            self._runner.close()

    def _start_chains(self) -> dict[str, Feed]:
        jobs = BulkReadJobs(self.client, self.settings)
        spool = Spool(self.client, self.settings.spool_directory)
        chains: dict[str, tuple[Chain, Position]] = {}
        for name, stream in self.streams.items():
            if not (
                isinstance(stream, BulkReadStream) and stream.selected and not stream.is_removed
            ):
                continue
            spending = self.summary[name].spending
            try:
                query = stream.query(self.settings)
                chain = Chain(
                    query,
                    jobs=jobs,
                    spool=spool,
                    spending=spending,
                    is_unchanged=stream.look(query),
                )
                chains[name] = chain, stream.start(chain)
            except Exception as error:  # noqa: BLE001 - it is raised when its turn comes
                self._not_started[name] = error
        self._runner = BulkReadRunner(self.settings.max_concurrent_jobs, self.client.stop)
        return dict(zip(chains, self._runner.start(chains.values()), strict=True))

    # Discovery

    @override
    def setup_mapper(self) -> None:
        """Put it off: it needs the catalog, and so discovery, which `--test` goes without."""

    @property
    @override
    def mapper(self) -> PluginMapper:
        if self._mapper is None:
            super().setup_mapper()
        return super().mapper

    @mapper.setter
    def mapper(self, mapper: PluginMapper) -> None:
        self._mapper = mapper

    @override
    def discover_streams(self) -> Sequence[Stream]:
        if self.input_catalog is not None:
            return [
                _OTHER_STREAMS[entry.tap_stream_id](self)
                if entry.tap_stream_id in _OTHER_STREAMS and not _is_module(entry)
                else ModuleStream(
                    self,
                    name=entry.tap_stream_id,
                    schema=entry.schema.to_dict(),
                    replication_key=entry.replication_key,
                )
                for entry in self.input_catalog.streams
            ]
        modules = [
            ModuleStream(
                self,
                name=module.api_name,
                schema=module.schema,
                replication_key=module.replication_key,
                unsupported=module.unsupported,
                offered=module.offered,
            )
            for module in discover_modules(self.client, self.settings)
        ]
        # Many targets take names that differ in the case of letters as the same.
        taken = {module.name.lower() for module in modules}
        missing = {
            name
            for name, module in _OF_MODULE.items()
            if module not in {stream.name for stream in modules}
        }
        if not self.settings.bulk_write_job_ids:
            missing.add(BulkWriteResultsStream.name)
        others = []
        for name, stream in _OTHER_STREAMS.items():
            if name.lower() in taken:
                self.logger.warning("Leaving out the stream %s: a module has its name.", name)
            elif name not in missing:
                others.append(stream(self))
        return [*modules, *others]

    # Running

    @override  # type: ignore[misc]  # nothing else sees the end of a run
    def sync_all(self) -> None:
        with _live_view():
            self._sync_all()
        if self.summary.failures:
            selected = sum(stream.selected for stream in self.streams.values())
            raise StreamsFailedError(
                f"{len(self.summary.failures)} of {selected} streams failed; each has a line above "
                f"that says why: {', '.join(self.summary.failures)}."
            )

    def _sync_all(self) -> None:
        outcome = "failed"
        self.logger.info("The run begins.", extra=event("run_began", version=self.plugin_version))
        try:
            names = [stream.name for stream in self.streams.values() if stream.selected]
            self.logger.info(
                "%d streams are selected.",
                len(names),
                extra=event("streams_selected", names=names),
            )
            super().sync_all()
            outcome = "failed" if self.summary.failures else "ok"
        except (StoppedError, TapZohoBulkError) as error:
            if isinstance(error, StoppedError):
                outcome = "stopped"
            # What was paid for is not lost, and trouble is not met again in the same place.
            self.note_progress()
            if self.state:
                self.state_writer.write_state(self.state)
            raise
        except BrokenPipeError as error:  # Click would end the run without a word.
            raise TargetGoneError("The target closed the pipe. See its log.") from error
        finally:
            self.close()
            self.summary.tell_all(outcome)

    @override  # type: ignore[misc]  # the SDK's starts jobs, which cost
    def run_connection_test(self) -> bool:
        """Sign in, ask for the organisation, and list the modules. Starts no job.

        Raises:
            TapZohoBulkError: When one of them fails.
        """
        answer = self.client.get(
            f"/crm/{self.settings.api_version}/org",
            what="ask for the organisation",
            scope="ZohoCRM.org.READ",
            expects="org",
        )
        listed = (answer or {}).get("org")
        org = listed[0] if isinstance(listed, list) and listed else {}
        modules = list_modules(self.client, self.settings)
        self.logger.info(
            "Connected to %s (%s): %d modules can be read.",
            org.get("company_name"),
            org.get("time_zone"),
            len(modules),
        )
        return True

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Ask all threads to stop. The main one does after the record that it is writing.

        The SDK's own handler writes STATE at once, which may be in the middle of a record.
        """
        if self.stopped_by is not None or self._client is None:
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
        type(self).stopped_by = signum
        # In a thread of its own: the main one may hold the event's lock at this moment.
        threading.Thread(target=self.client.stop.set, daemon=True).start()
        self.logger.warning("Told to stop; stopping after the records at hand.")

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings as the SDK does, and more; name the wrong ones, show no secret."""
        self._config.update(numbers_from_text(self._config))
        errors = super()._validate_config(raise_errors=False)
        for name in SECRET_SETTINGS:
            value = self._config.get(name)
            if value is not None:
                errors = [error.replace(repr(value), "the value") for error in errors]
        errors += config_problems(self._config)
        if errors and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=errors, schema=self.config_jsonschema
            )
        return errors


def _is_module(entry: CatalogEntry) -> bool:
    """Tell whether an entry with the name of another stream is of a module all the same."""
    properties = entry.schema.to_dict().get("properties", {})
    return any(zoho_type(schema) for schema in properties.values())


def _live_view() -> AbstractContextManager[None]:
    """Give the live view where there may be a terminal; only there its library is loaded."""
    if not sys.stderr.isatty():
        return nullcontext()
    from tap_zoho_bulk.reporting.live_view import live_view  # noqa: PLC0415

    return live_view()
