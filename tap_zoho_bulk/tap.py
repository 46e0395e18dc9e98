"""The tap: discovery, and one run of the selected streams.

Invariant: with a catalog given, a sync makes no metadata call, apart from a look once a day whether
the catalog is out of date; one stream's failure leaves the others complete, and the run ends with
an error that names it.
"""

from __future__ import annotations

import _thread
import signal
import sys
import time
from collections import deque
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from tap_zoho_bulk.catalog.discovery import discover_modules, log_skip
from tap_zoho_bulk.catalog.drift import CATALOG_CHECK, check_catalog
from tap_zoho_bulk.catalog.organisation import read_organisation
from tap_zoho_bulk.catalog.probes import is_granted, modules_not_granted
from tap_zoho_bulk.crm.scopes import BULK_READ, MODULES, grant_advice
from tap_zoho_bulk.emit.record_lines import ChunkWriter, to_target
from tap_zoho_bulk.exceptions import (
    SettingsError,
    SignInError,
    StoppedError,
    StreamsFailedError,
    TapZohoBulkError,
    TargetGoneError,
    UnreadableStreamError,
)
from tap_zoho_bulk.reporting.events import event
from tap_zoho_bulk.run import Run
from tap_zoho_bulk.sdk_overrides import TapOverrides
from tap_zoho_bulk.settings import (
    CONFIG_JSONSCHEMA,
    Settings,
    config_problems,
    numbers_from_text,
    schema_problems,
)
from tap_zoho_bulk.streams.bulk_read import BulkReadStream
from tap_zoho_bulk.streams.bulk_write_results import BulkWriteResultsStream
from tap_zoho_bulk.streams.kinds import stream_of_catalog, streams_of_account
from tap_zoho_bulk.streams.module import ModuleStream
from tap_zoho_bulk.streams.selection import selection_problems, unmatched_options

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from tap_zoho_bulk.catalog.discovery import DiscoveredModule

_SECOND_SIGNAL_SECONDS = 5.0


class TapZohoBulk(TapOverrides):
    """Singer tap for Zoho CRM, built on the Bulk Read API."""

    name = "tap-zoho-bulk"
    config_jsonschema = CONFIG_JSONSCHEMA
    dynamic_catalog = True  # so that --discover also checks the settings
    message_writer_class = ChunkWriter
    # Stated here, since the SDK's own list differs between its versions.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.BATCH,
        TapCapabilities.CATALOG,
        TapCapabilities.DISCOVER,
        PluginCapabilities.FLATTENING,
        TapCapabilities.STATE,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._run: Run | None = None
        self.skipped: dict[str, str] = {}
        """Modules that discovery left out, and why."""
        self._stopped_by: int | None = None
        self._stopped_at = 0.0
        super().__init__(*args, **kwargs)

    @property
    def run(self) -> Run:
        """What the streams of this run share."""
        if self._run is None:
            self._run = Run(
                Settings.from_config(self.config),
                modules=lambda: [
                    stream.name for stream in self._read() if isinstance(stream, ModuleStream)
                ],
                feed_openers=lambda: {stream.name: stream.open_feed for stream in self._read()},
            )
        return self._run

    def _read(self) -> list[BulkReadStream]:
        """Return the selected streams by bulk read, in the order in which their chains start.

        Those for which earlier runs had no API credits left come first.
        """
        read = [
            stream
            for stream in self.streams.values()
            if isinstance(stream, BulkReadStream) and stream.selected and not stream.is_removed
        ]
        return sorted(read, key=lambda stream: stream.waiting_since or "never")

    # Discovery

    @override
    def discover_streams(self) -> Sequence[Stream]:
        with self.naming_the_signal():
            if self.input_catalog is None:
                return streams_of_account(self, self.run, self.discover_modules())
            entries = self.input_catalog.streams
            return [stream_of_catalog(self, self.run, entry) for entry in entries]

    def discover_modules(
        self, wanted: Callable[[str], bool] | None = None
    ) -> list[DiscoveredModule]:
        """Return the account's modules, and record in `skipped` which ones are left out.

        Args:
            wanted: Returns whether to describe a module; by default those that the settings select.

        Raises:
            TapZohoBulkError: As `catalog.discovery.discover_modules` does.
        """

        def skip(name: str, why: str) -> None:
            self.skipped[name] = why
            log_skip(name, why)

        return discover_modules(self.run.client, self.run.settings, wanted=wanted, skip=skip)

    def module_properties(self) -> dict[str, dict[str, Any]]:
        """Return the properties of each module's stream, by name."""
        return {
            stream.name: stream.schema["properties"]
            for stream in self.streams.values()
            if isinstance(stream, ModuleStream)
        }

    def selection_problems(self) -> list[str]:
        """Return what keeps a sync from beginning."""
        maps = self.config.get("stream_maps")
        return list(selection_problems(self.streams, self.run.settings, maps, self.skipped))

    def unmatched_options(self) -> dict[str, str]:
        """Return the modules of `module_options` that the given catalog lacks, and why that fails.

        Without a catalog, discovery has compared them with the account.
        """
        if self.input_catalog is None:
            return {}
        return unmatched_options(self.streams, self.run.settings)

    # Running

    @override
    @contextmanager
    def syncing(self) -> Iterator[None]:
        with self.naming_the_signal(), _live_view():
            yield from self._syncing()
        summary = self.run.summary
        if summary.failures:
            selected = {stream.name for stream in self.streams.values() if stream.selected}
            raise StreamsFailedError(summary.failures, len(selected | summary.failures.keys()))

    def _syncing(self) -> Iterator[None]:
        run = self.run
        outcome = "failed"
        self.logger.info("The run begins.", extra=event("run_began", version=self.plugin_version))
        try:
            names = [stream.name for stream in self.streams.values() if stream.selected]
            self.logger.info(
                "%d streams are selected.",
                len(names),
                extra=event("streams_selected", names=names),
            )
            problems = self.selection_problems()
            if problems:
                raise SettingsError(" ".join(problems))
            for name, why in self.unmatched_options().items():
                run.stream_failed(name, UnreadableStreamError(why))
            with self._last_state():
                yield
            if run.summary.failures:
                outcome = "failed"
            else:
                outcome = "incomplete" if run.summary.incomplete else "ok"
        except StoppedError as error:
            outcome = error.outcome
            raise
        finally:
            run.close()
            run.summary.log_run(outcome)

    @contextmanager
    def _last_state(self) -> Iterator[None]:
        """Write STATE once more if the block ends early.

        So the next run neither pays again for a job nor meets the same error.
        """
        try:
            yield
        except TargetGoneError:
            raise
        except (StoppedError, TapZohoBulkError):
            self.run.stop.set()  # So that no chain creates another job.
            with suppress(TargetGoneError):  # Ctrl-C also ends the target.
                self._write_progress()
                self.run.chains.settle()
                self._write_progress()
            raise

    def _write_progress(self) -> None:
        """Write STATE with the progress of all running chains, if it has changed."""
        self.run.chains.record()
        if self.state:
            self.state_writer.write_state(self.state)

    @override
    def sync_streams(self, streams: Sequence[Stream]) -> None:
        """Emit pages of whatever stream is ready; sync lists while none is.

        With a limit of API credits, lists come first: they cost little, and how much is not known
        before. The results of bulk write jobs come last: those are waited for, and pages would be.
        """
        read = {stream.name: stream for stream in self._read()}
        results = [stream for stream in streams if isinstance(stream, BulkWriteResultsStream)]
        lists: deque[Callable[[], None]] = deque(
            stream.sync for stream in streams if stream.name not in read and stream not in results
        )
        chains = self.run.chains
        try:
            while lists and self.run.settings.api_credit_limit is not None:
                lists.popleft()()
            chains.start()
            lists.append(self._check_catalog)
            while read or lists:
                name = chains.next_turn(read, wait=not lists)
                if name is not None:
                    if read[name].take_turn():
                        del read[name]
                elif lists:
                    lists.popleft()()
                else:
                    self._write_progress()
            for last in results:
                last.sync()
        finally:
            for stream in read.values():
                stream.interrupted()

    def _check_catalog(self) -> None:
        """Log what the given catalog lacks by now, if a look is due."""
        if self.input_catalog is None:
            return
        run, modules, state = self.run, self.module_properties(), cast("dict[str, Any]", self.state)
        state[CATALOG_CHECK] = check_catalog(
            run.client,
            run.settings,
            selected={name: modules[name] for name in modules if self.streams[name].selected},
            known=modules,
            kept=state.get(CATALOG_CHECK),
        )
        self._write_progress()  # It may be the last of all that the run does.

    @override
    def run_discovery(self) -> str:
        try:
            catalog = self.catalog_json_text
        finally:
            spent = self.run.client.credits.spending.credits
            self.logger.info(
                "Discovery ended. It has spent %d API credits.",
                spent,
                extra=event("discovery_ended", credits=spent),
            )
        with to_target():
            sys.stdout.write(f"{catalog}\n")
            sys.stdout.flush()
        return catalog

    @override
    def test_connection(self) -> None:
        """Sign in, ask for the organisation, and count the modules that can be read.

        Costs one request for each module, and creates no job.

        Raises:
            TapZohoBulkError: When one of them fails, or nothing can be read.
        """
        with self.naming_the_signal():
            client, settings = self.run.client, self.run.settings
            org = read_organisation(client, settings)
            if not is_granted(client, settings, BULK_READ):
                raise SignInError(
                    f"The token lacks the scope {BULK_READ.name}, so nothing can be read. "
                    f"{grant_advice(BULK_READ.name, soid=settings.soid)}"
                )
            modules = [module.api_name for module in self.discover_modules()]
            refused = modules_not_granted(client, settings, modules)
            if refused:
                self.logger.warning(
                    "The token lacks the scope %s, so these modules cannot be read: %s. %s",
                    MODULES.name,
                    ", ".join(sorted(refused)),
                    grant_advice(MODULES.name, soid=settings.soid),
                )
            self.logger.info(
                "Connected to %s (%s): %d modules can be read.",
                org.get("company_name"),
                org.get("time_zone"),
                len(modules) - len(refused),
            )
            wants_some = settings.modules and "*" not in settings.exclude_modules
            if wants_some and not set(modules) - refused:
                raise SettingsError(
                    "No module can be read. Warnings above say why; check `modules`, "
                    "`exclude_modules`, and the permissions of the user."
                )

    @override
    def stop(self, signum: int) -> bool:
        """Ask all threads to stop. The main thread does so after its current record."""
        if self._run is None:
            return False
        if self._stopped_by is None:
            self._stopped_by = signum
            self._stopped_at = time.monotonic()
            # The main thread may hold any lock at this moment, also one of `threading`.
            _thread.start_new_thread(self._stop, (self._run.stop, signum))
            return True
        if time.monotonic() - self._stopped_at > _SECOND_SIGNAL_SECONDS:
            return False
        # Ctrl-C on `meltano run` sends SIGINT, and SIGTERM right after it. Only the system can
        # end the tap by a third one at any time, even while it writes to a full pipe.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        return True

    def _stop(self, stop: threading.Event, signum: int) -> None:
        self.logger.warning(
            "%s: stopping after the current records.",
            signal.Signals(signum).name,
            extra=event("run_stopping", signal=signum),
        )
        stop.set()

    @contextmanager
    def naming_the_signal(self) -> Iterator[None]:
        """Add the signal that stopped the run to a StoppedError."""
        try:
            yield
        except StoppedError as error:
            error.signum = self._stopped_by
            raise

    # Settings

    @override
    def prepare_config(self) -> None:
        self._config.update(numbers_from_text(self._config))

    @override
    def config_errors(self) -> list[str]:
        return [
            *schema_problems(self._config, self.config_jsonschema),
            *config_problems(self._config),
        ]


def _live_view() -> AbstractContextManager[None]:
    """Return the live view if there may be a terminal; only then its library is loaded."""
    if not sys.stderr.isatty():
        return nullcontext()
    from tap_zoho_bulk.reporting.live_view import live_view  # noqa: PLC0415

    return live_view()
