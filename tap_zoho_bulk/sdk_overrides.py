"""What the tap changes of the SDK: each override of a private or final method, and why.

An upgrade of singer-sdk means reading this one file. It fits singer-sdk 0.54 and 0.55. What
the SDK does too early becomes a method with a public name here, which streams call when it is due.

Invariant: the SDK moves no bookmark, and drops no old row of a full table. It would do so with
every record, and before the first one: before it is known whether the records are complete.
"""

from __future__ import annotations

import os
import signal
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from singer_sdk import Stream, Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import MappingError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib import Catalog
from typing_extensions import override

from tap_zoho_bulk.exceptions import SettingsError, StoppedError, UnreadableStreamError
from tap_zoho_bulk.settings import as_objects, unknown_variables

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from types import FrameType

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig, SDKBatchMessage
    from singer_sdk.helpers.types import Context
    from singer_sdk.mapper import PluginMapper, StreamMap


_FALSE = {"false", "0", "no", "off"}


class StreamOverrides(Stream):
    """The SDK's stream, which leaves bookmarks and versions to the tap's streams."""

    # The decoder returns what the schema says; the SDK would turn the text "false" into True.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    _has_begun = False

    # What streams do when it is due

    def write_state(self) -> None:
        """Write STATE, if it has changed."""
        self._tap.state_writer.write_state(self.tap_state)

    def state_changed(self) -> None:
        """Note that the state changed in a way that the SDK does not see."""
        self.state_manager.is_flushed = False

    def activate_version(self, version: int) -> None:
        """Write ACTIVATE_VERSION: targets drop the rows of other versions.

        Args:
            version: Of the full table that was emitted completely.
        """
        super()._write_activate_version_message(version)

    @property
    def record_version(self) -> int | None:
        """The version that RECORD and BATCH messages carry."""
        return self._stream_version

    @record_version.setter
    def record_version(self, version: int | None) -> None:
        self._stream_version = version

    def write_all_records(self) -> bool:
        """Write all RECORD messages, if the stream has a faster way than one at a time.

        Returns:
            Whether they are written; the SDK writes them one at a time otherwise.
        """
        return False

    def take_turns(self) -> bool:
        """Sync the stream alone, if it has turns of its own.

        Returns:
            Whether it has; the SDK syncs it otherwise.
        """
        return False

    def begin(self) -> None:
        """Write SCHEMA, unless it is written already."""
        if not self._has_begun:
            self._has_begun = True
            self._write_schema_message()

    def emit(self) -> None:
        """Write the records that the stream has at this moment, as RECORD or BATCH messages."""
        batch_config = self.get_batch_config(self.config)
        if batch_config is not None:
            self._sync_batches(batch_config)
        else:
            for _ in self._sync_records():
                pass

    def emitted(self) -> None:
        """Finish after all records, or files of them, were emitted."""

    def stopped(self) -> None:
        """Note that the run shut down before the stream was emitted completely."""

    def synced(self) -> None:
        """Finish after everything else, also if the sync failed."""

    # What the SDK would do

    @property
    @override
    def stream_maps(self) -> list[StreamMap]:
        """Apply `stream_maps` to this stream; the SDK would to deselected ones, which fails."""
        tap, name = self._tap, self.name
        try:
            if name not in tap.mapper.stream_maps:
                entry = tap.catalog[name]
                tap.mapper.register_raw_streams_from_catalog(Catalog([(name, entry)]))
        except Exception as error:
            raise _not_mapped(name, error) from error
        return super().stream_maps

    @override
    def _process_record(self, record: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Raise an error that names the setting if a filter fails, instead of a traceback."""
        try:
            super()._process_record(record, *args, **kwargs)
        except Exception as error:
            raise _not_mapped(self.name, error) from error

    @override
    def _generate_record_messages(self, record: dict[str, Any]) -> Generator[Any, None, None]:
        """Raise an error that names the setting; the SDK's would be a traceback."""
        try:
            yield from super()._generate_record_messages(record)
        except Exception as error:
            raise _not_mapped(self.name, error) from error

    @override  # type: ignore[misc]  # final, but nothing else sees the end of the stream
    def sync(self, context: Context | None = None) -> None:
        if self.take_turns():
            return
        try:
            super().sync(context)
        except StoppedError:
            self.stopped()
            raise
        finally:
            self.synced()

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write records many at a time if the stream can, then call `emitted`."""
        if not (write_messages and self.write_all_records()):
            yield from super()._sync_records(context, write_messages=write_messages)
        if write_messages:
            self.emitted()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """Call `emitted` after the last file."""
        super()._sync_batches(batch_config, context)
        self.emitted()

    @override
    def _write_state_message(self) -> None:
        """Write STATE as the stream does, which may record more in it."""
        self.write_state()

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the SDK's starting marker out of STATE."""

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Context | None = None
    ) -> None:
        """Leave the bookmark where it is; the stream moves it."""

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: the local clock is not Zoho's."""

    @override
    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Leave out the message before the first record: old rows go after the last one."""

    @override
    def _generate_batch_messages(
        self, encoding: BaseBatchFileEncoding, manifest: list[str]
    ) -> Generator[SDKBatchMessage, None, None]:
        """Add the version, which the SDK adds to RECORD messages only."""
        for message in super()._generate_batch_messages(encoding, manifest):
            message.version = self.record_version
            yield message


class TapOverrides(Tap):
    """The SDK's tap, with hooks for the end of a run, signals and settings."""

    # What the tap does instead

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """Enclose the sync of all streams."""
        yield

    @abstractmethod
    def sync_streams(self, streams: Sequence[Stream]) -> None:
        """Sync streams.

        Args:
            streams: The selected ones.
        """

    @abstractmethod
    def test_connection(self) -> None:
        """Check that the account can be read, without a cost."""

    @abstractmethod
    def stop(self, signum: int) -> bool:
        """Ask the run to shut down.

        Args:
            signum: The signal.

        Returns:
            False if the process should die at once.
        """

    def prepare_config(self) -> None:
        """Adapt the settings before they are checked."""

    @abstractmethod
    def config_errors(self) -> list[str]:
        """Return all that is wrong with the settings, without a secret."""

    # What the SDK would do

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Keep also what is not a bookmark, which the SDK would drop."""
        super().load_state(state)
        more = {key: value for key, value in state.items() if key != "bookmarks"}
        cast("dict[str, Any]", self.state).update(more)

    @override  # type: ignore[misc]  # final, but it syncs one stream after another
    def sync_all(self) -> None:
        with self.syncing():
            self._reset_state_progress_markers()
            self._set_compatible_replication_methods()
            if self.state:
                self.state_writer.write_state(self.state)
            self.sync_streams([stream for stream in self.streams.values() if stream.selected])

    @override  # type: ignore[misc]  # final, but the SDK's starts jobs, which cost
    def run_connection_test(self) -> bool:
        self.test_connection()
        return True

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Shut down after the current record; the SDK would write STATE into the middle of it."""
        if not self.stop(signum):
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805
        """Return the settings in the environment; unknown and wrong ones are left to the checks.

        The SDK would take any text but "true" for false, and overlook names with a typo. At text
        that is not a number, it would end in a traceback, with the text and without the name.
        """
        schema = cls.config_jsonschema
        cls.append_builtin_config(schema)
        config: dict[str, Any] = {}
        for name, setting in schema["properties"].items():
            only = {"properties": {name: setting}}
            variable = cls._env_var_prefix + name.upper()
            try:
                config |= parse_environment_config(only, cls._env_var_prefix)
                if isinstance(config.get(name), dict):
                    config[name] = as_objects(config[name])
                text = os.environ.get(variable, "")
                if config.get(name) is False and text.lower() not in _FALSE:
                    raise ValueError  # noqa: TRY301 - as for other types
            except ValueError:
                config[name] = os.environ[variable]
        return config | unknown_variables(os.environ, cls._env_var_prefix, schema["properties"])

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Set defaults as the SDK does; its errors show the wrong values, which may be secret."""
        self.prepare_config()
        super()._validate_config(raise_errors=False)
        errors = self.config_errors()
        if errors and raise_errors:
            for error in errors:
                self.logger.error("Wrong setting: %s", error)
            raise SettingsError("Nothing was requested. Correct the settings above.")
        return errors

    @override
    def setup_mapper(self) -> None:
        """Defer: the mapper needs the catalog, and `--test` must not trigger discovery."""

    @property
    @override
    def mapper(self) -> PluginMapper:
        if self._mapper is None:
            super(Tap, self).setup_mapper()  # `Tap` would also register all streams.
        return super().mapper

    @mapper.setter
    def mapper(self, mapper: PluginMapper) -> None:
        self._mapper = mapper


def _not_mapped(stream: str, error: Exception) -> UnreadableStreamError:
    """Return the error for a stream map that fails. Python's own messages may show a value."""
    reason = error if isinstance(error, MappingError) else f"{type(error).__name__}."
    return UnreadableStreamError(
        f"`stream_maps` cannot be applied to {stream}: {reason} Correct that setting."
    )
