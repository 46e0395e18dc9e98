"""The target's messages, and the states that it hands on.

Invariant: a STATE goes out only after everything before it was committed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import typing as th
from singer_sdk.io_base import SingerReader
from singer_sdk.mapper import SameRecordTransform
from target_postgres.target import TargetPostgres
from typing_extensions import override

from batch_loader.files import LoadError, batch_file
from target_postgres_batch.sink import BatchSink

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN_SETTINGS = th.PropertiesList(
    th.Property(
        "keep_batch_files",
        th.BooleanType,
        default=False,
        title="Keep BATCH files",
        description="Keep the files that BATCH messages name after they were loaded.",
    ),
).to_dict()


class _Reader(SingerReader):
    """Reads lines that it is given before the SDK creates it."""


class TargetPostgresBatch(TargetPostgres):
    """target-postgres, which also loads files by COPY."""

    package_name = "target-postgres-batch"
    message_reader_class = _Reader
    default_sink_class = BatchSink
    config_jsonschema: ClassVar = {
        **TargetPostgres.config_jsonschema,
        "properties": {
            **TargetPostgres.config_jsonschema["properties"],
            **_OWN_SETTINGS["properties"],
        },
    }

    # Records that wait are stored, and states handed on, twice a minute.
    _MAX_RECORD_AGE_IN_MINUTES = 0.5

    @override
    def _setup_signal_handlers(self) -> None:
        """Leave the input's handlers: the SDK's would end the process before the last STATE."""

    @override
    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        stream, encoding = message_dict["stream"], message_dict["encoding"]
        if stream not in self.mapper.stream_maps:
            raise LoadError(f"{stream}: a BATCH came before its SCHEMA.")
        for stream_map in self.mapper.stream_maps[stream]:
            if type(stream_map) is not SameRecordTransform or stream_map.flattening_enabled:
                raise LoadError(
                    f"{stream}: files are loaded as they are. Remove the target's stream maps and "
                    "flattening, or the tap's `batch_config`."
                )
            sink = self.get_sink(stream_map.stream_alias)
            self.drain_one(sink)  # Its records are older than the files.
            for url in message_dict["manifest"]:
                with batch_file(
                    stream,
                    url,
                    file_format=encoding["format"],
                    keep=self.config["keep_batch_files"],
                ) as path:
                    sink.load_file(path, encoding, message_dict.get("version"))

    @override
    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        """Hand the state on at once if no record waits; the SDK would wait for minutes."""
        super()._process_state_message(message_dict)
        sinks = (*self._sinks_active.values(), *self._sinks_to_clear)
        if not any(sink.current_size for sink in sinks):
            self._write_state_message(message_dict["value"])


def run(lines: Iterable[str]) -> None:
    """Run the command line.

    Args:
        lines: The tap's messages.
    """
    _Reader.default_input = lines
    try:
        TargetPostgresBatch.cli()
    except LoadError as error:
        sys.exit(str(error))
