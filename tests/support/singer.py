"""Run the tap as its users do, and check every line of its output by the Singer specification."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker

from tests.support.program import inherited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from typing_extensions import Self

    from local_zoho_crm import ZohoServer
    from tap_zoho_bulk.reporting.events import Kind
    from tests.support.program import Program, Running

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FAST: Json = {
    "poll_interval_seconds": 0.02,
    "max_poll_interval_seconds": 0.1,
    "downloads_per_minute": 10_000,
    "max_retries": 2,
}
"""Settings with which the tap waits less than Zoho requires."""
MAX_RUN_SECONDS = 60

_LOG_CONFIG = """\
version: 1
disable_existing_loggers: false
formatters:
  people: {(): singer_sdk.logging.ConsoleFormatter}
  programs: {(): singer_sdk.logging.StructuredFormatter}
handlers:
  file: {class: logging.FileHandler, formatter: programs, filename: %s, encoding: utf-8}
  terminal: {class: logging.StreamHandler, formatter: people, stream: ext://sys.stderr}
root: {level: INFO, handlers: [file, terminal]}
"""
"""The SDK's usual log on stderr; before that, each line's fields go to a file."""

_OWN_LOGS = frozenset({"SINGER_SDK_LOG_CONFIG", "TAP_ZOHO_BULK_LOGLEVEL"})
"""Variables with which a test chooses the log itself."""

_MESSAGE_TYPES = frozenset({"SCHEMA", "RECORD", "STATE", "BATCH", "ACTIVATE_VERSION"})
_utc_text = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00").fullmatch
_date_text = re.compile(r"\d{4}-\d\d-\d\d").fullmatch


def _formats() -> FormatChecker:
    """Return checks of dates and date-times, which jsonschema alone does not check."""
    checker = FormatChecker(formats=())

    @checker.checks("date-time", raises=ValueError)
    def is_utc(value: object) -> bool:
        return not isinstance(value, str) or bool(
            _utc_text(value) and datetime.fromisoformat(value)
        )

    @checker.checks("date", raises=ValueError)
    def is_date(value: object) -> bool:
        return not isinstance(value, str) or bool(
            _date_text(value) and datetime.fromisoformat(value)
        )

    return checker


_FORMATS = _formats()


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def parse(line: str) -> Json:
    """Parse a line of JSON, and keep every digit of its numbers."""
    message = json.loads(line, parse_float=Decimal, parse_constant=_no_constant)
    assert isinstance(message, dict), f"no object: {line[:200]}"
    return message


class SingerChecker:
    """Checks messages in order, as a strict target would."""

    def __init__(self) -> None:
        self.schemas: dict[str, Json] = {}
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, message: Json) -> None:
        """Check that the message is valid and allowed at this point."""
        kind = message.get("type")
        assert kind in _MESSAGE_TYPES, f"no Singer message: {message}"
        if kind == "SCHEMA":
            self._check_schema(message)
        elif kind == "RECORD":
            self._check_record(message)
        elif kind == "STATE":
            assert isinstance(message["value"], dict)
        else:
            assert message["stream"] in self.schemas, f"{kind} before SCHEMA: {message['stream']}"

    def _check_schema(self, message: Json) -> None:
        schema = message["schema"]
        Draft202012Validator.check_schema(schema)
        assert message["key_properties"], f"{message['stream']} has no key"
        for name in [*message["key_properties"], *message.get("bookmark_properties", ())]:
            assert name in schema["properties"], f"{message['stream']} lacks {name}"
        self.schemas[message["stream"]] = message
        # A property that the schema does not name is an error.
        strict = {**schema, "additionalProperties": False, "required": message["key_properties"]}
        self._validators[message["stream"]] = Draft202012Validator(strict, format_checker=_FORMATS)

    def _check_record(self, message: Json) -> None:
        stream = message["stream"]
        assert stream in self.schemas, f"RECORD before SCHEMA: {stream}"
        self.validate(stream, message["record"])

    def validate(self, stream: str, record: Json) -> None:
        """Check a record against the SCHEMA of its stream."""
        self._validators[stream].validate(record)


@dataclass(frozen=True)
class TapRun:
    """The checked output of a run of the tap."""

    exit_code: int
    stdout: str
    stderr: str
    messages: list[Json] = field(repr=False)
    schemas: dict[str, Json] = field(repr=False)
    log: list[Json] = field(repr=False)

    @classmethod
    def of(cls, exit_code: int, stdout: str, stderr: str, log: Sequence[Json] = ()) -> Self:
        """Parse and check the output of a run."""
        whole, newline, cut = stdout.rpartition("\n")
        # Only a killed tap may leave an incomplete line.
        assert not cut or exit_code < 0, f"a line without its end: {cut[:200]}"
        messages = [parse(line) for line in whole.split("\n")] if newline else []
        checker = SingerChecker()
        for message in messages:
            checker.check(message)
        return cls(exit_code, stdout, stderr, messages, checker.schemas, [*log])

    def events(self, kind: Kind, stream: str | None = None) -> list[Json]:
        """Return the events of a kind, of one stream or all."""
        return events(self.log, kind, stream)

    def event(self, kind: Kind, stream: str | None = None) -> Json:
        """Return the only event of a kind, of one stream or all."""
        (found,) = self.events(kind, stream)
        return found

    def line(self, *facts: str, level: str = "ERROR") -> str:
        """Return the only line of the log of a level that holds all these names and numbers."""
        (found,) = [
            line
            for line in self.stderr.splitlines()
            if f"| {level} " in line and all(fact in line for fact in facts)
        ]
        return found

    def of_type(self, kind: str, stream: str | None = None) -> list[Json]:
        """Return the messages of a type, of one stream or all."""
        return [
            message
            for message in self.messages
            if message["type"] == kind and stream in (None, message.get("stream"))
        ]

    @property
    def streams(self) -> set[str]:
        """Return the streams that sent records."""
        return {message["stream"] for message in self.of_type("RECORD")}

    def records(self, stream: str) -> list[Json]:
        """Return the records of a stream in order."""
        return [message["record"] for message in self.of_type("RECORD", stream)]

    def by_id(self, stream: str) -> dict[str, Json]:
        """Return the records of a stream by id, and check that none came twice."""
        records = self.records(stream)
        found = {record["id"]: record for record in records}
        assert len(found) == len(records), f"{stream}: a record came twice"
        return found

    @property
    def states(self) -> list[Json]:
        """Return the values of all STATE messages."""
        return [message["value"] for message in self.of_type("STATE")]

    @property
    def state(self) -> Json:
        """Return the last STATE, with which the next run begins."""
        return self.states[-1]

    def bookmark(self, stream: str) -> Json:
        """Return the bookmark of a stream in the last STATE."""
        bookmark = self.state["bookmarks"].get(stream, {})
        assert isinstance(bookmark, dict)
        return bookmark


def events(log: list[Json], kind: Kind, stream: str | None = None) -> list[Json]:
    """Return the events of a kind in a structured log, of one stream or all."""
    found = [line["extra"]["sync_event"] for line in log if "sync_event" in line.get("extra", {})]
    return [each for each in found if each["kind"] == kind and stream in (None, each.get("stream"))]


class RunningTap:
    """The tap's command line in a subprocess.

    Args:
        process: The subprocess.
        log: Where its structured log goes; None for nowhere.
    """

    def __init__(self, process: Running, log: Path | None = None) -> None:
        self._process = process
        self._log = log
        self._changed = threading.Condition()
        self._printed: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._open = set(self._printed)
        self.taken = threading.Event()
        """Cleared to stop reading the tap's stdout, like a busy target."""
        self.taken.set()
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._printed
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        for line in getattr(self._process, name):
            if name == "stdout":
                self.taken.wait(MAX_RUN_SECONDS)
            with self._changed:
                self._printed[name].append(line.decode())
                self._changed.notify_all()
        with self._changed:
            self._open.discard(name)
            self._changed.notify_all()

    def wait_for(self, seen: Callable[[list[Json]], Any]) -> Any:
        """Wait until `seen` returns true for the messages so far, and return its result."""
        messages: list[Json] = []

        def check() -> Any:
            new = self._printed["stdout"][len(messages) :]
            messages.extend(parse(line) for line in new if line.endswith("\n"))
            return seen(messages)

        return self._wait(check)

    def stall_in_a_page(self) -> None:
        """Stop taking messages after the first record, so that the tap waits in a page."""
        self.wait_for(lambda messages: messages[-1:] and messages[-1]["type"] == "RECORD")
        self.taken.clear()

    def wait_for_log(self, text: str) -> None:
        """Wait until stderr contains this text."""
        self._wait(lambda: any(text in line for line in self._printed["stderr"]))

    def wait_for_event(self, kind: Kind, stream: str | None = None) -> None:
        """Wait until the log has an event of a kind, of one stream or any."""
        self._wait(lambda: events(self.log(), kind, stream))

    def log(self) -> list[Json]:
        """Return the structured log so far, line by line."""
        if self._log is None or not self._log.exists():
            return []
        complete, _, _ = self._log.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in complete.splitlines()]

    def wait_until(self, event: threading.Event) -> None:
        """Wait until an event is set that this run should cause."""
        while not event.wait(0.05):
            assert self._process.poll() is None, self._told()

    def _wait(self, check: Callable[[], Any]) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: check() or not self._open, MAX_RUN_SECONDS)
            found = check()
        assert found, self._told()
        return found

    def _told(self) -> str:
        return f"it did not come; stderr:\n{''.join(self._printed['stderr'])}"

    def terminate(self) -> None:
        """Send SIGTERM, as schedulers do."""
        self._process.terminate()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Send SIGKILL, as if the machine were lost."""
        self._process.kill()

    def interrupt_until_it_ends(self) -> None:
        """Press Ctrl-C up to three times until the tap has ended, without reading its stdout.

        Python does not handle a signal that comes right before a write to a full pipe.
        """
        for _ in range(3):
            self.interrupt()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
                return

    def end(self) -> tuple[int, str, str]:
        """Wait until the tap has ended, and return its exit code, stdout and stderr."""
        try:
            exit_code = self._process.wait(MAX_RUN_SECONDS)
        finally:
            self.close()
        return exit_code, "".join(self._printed["stdout"]), "".join(self._printed["stderr"])

    def close(self) -> None:
        """Kill the tap if it still runs, and close its pipes."""
        self.taken.set()
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def finish(self) -> TapRun:
        """Wait until the tap has ended, and return its checked output."""
        printed = self.end()
        return TapRun.of(*printed, self.log())


class TapCommand:
    """Runs the tap's command line, with files in a folder, and checks each run for secrets."""

    def __init__(self, program: Program, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self._files = 0
        self._started: list[RunningTap] = []

    def write(self, content: Json) -> str:
        """Write a JSON file, and return its path."""
        self._files += 1
        file = self._directory / f"{self._files}.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        return str(file)

    def line(self, config: Json, *, catalog: Json, state: Json | None = None) -> list[str]:
        """Return the command line of a sync, to run it without checks."""
        files = {"config": config, "catalog": catalog, "state": state}
        options = ((f"--{name}", self.write(content)) for name, content in files.items() if content)
        return [sys.executable, "-m", "tap_zoho_bulk", *chain.from_iterable(options)]

    def start(
        self,
        config: Json | None,
        *flags: str,
        catalog: Json | None = None,
        state: Json | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> RunningTap:
        """Start the tap with files that contain these values."""
        arguments = []
        for option, content in (("--config", config), ("--catalog", catalog), ("--state", state)):
            if content is not None:
                arguments += [option, self.write(content)]
        log, chosen = None, dict(environment or {})
        if not chosen.keys() & _OWN_LOGS:
            self._files += 1
            log = self._directory / f"{self._files}.log"
            log_config = self._directory / f"{self._files}.yaml"
            log_config.write_text(_LOG_CONFIG % log, encoding="utf-8")
            chosen["SINGER_SDK_LOG_CONFIG"] = str(log_config)
        environment = {**inherited("TAP_ZOHO_"), **chosen}
        running = RunningTap(self._program.start([*arguments, *flags], environment), log)
        self._started.append(running)
        return running

    def run(
        self,
        server: ZohoServer,
        *flags: str,
        catalog: Json | None = None,
        state: Json | None = None,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> TapRun:
        """Run the tap against a server until it ends."""
        config = server.tap_config(**{**FAST, **settings})
        running = self.start(config, *flags, catalog=catalog, state=state, environment=environment)
        return self.finish(running, server)

    @staticmethod
    def finish(running: RunningTap, server: ZohoServer) -> TapRun:
        """Wait until a run has ended, and check that it printed no secret."""
        run = running.finish()
        for secret in server.secrets:
            assert secret not in run.stdout, "a secret is in stdout"
            assert secret not in run.stderr, "a secret is in stderr"
        return run

    def sync(self, server: ZohoServer, **options: Any) -> TapRun:
        """Run the tap, and check that it succeeded."""
        run = self.run(server, **options)
        assert run.exit_code == 0, run.stderr
        return run

    def discover(self, server: ZohoServer, **settings: Any) -> Json:
        """Run discovery, and return the catalog."""
        catalog, _ = self.discover_with_log(server, **settings)
        return catalog

    def discover_with_log(self, server: ZohoServer, **settings: Any) -> tuple[Json, str]:
        """Run discovery, and return the catalog and stderr."""
        running = self.start(server.tap_config(**{**FAST, **settings}), "--discover")
        exit_code, stdout, stderr = running.end()
        assert exit_code == 0, stderr
        assert not [secret for secret in server.secrets if secret in stdout + stderr]
        return parse(stdout), stderr

    def close(self) -> None:
        """Kill the runs that still run."""
        for running in self._started:
            running.close()


def entry(catalog: Json, stream: str) -> Json:
    """Return the entry of a stream in a catalog."""
    (found,) = [each for each in catalog["streams"] if each["tap_stream_id"] == stream]
    assert isinstance(found, dict)
    return found


def metadata(catalog: Json, stream: str, field_name: str | None = None) -> Json:
    """Return the metadata of a stream in a catalog, or of one of its properties."""
    breadcrumb = [] if field_name is None else ["properties", field_name]
    (found,) = [
        each["metadata"]
        for each in entry(catalog, stream)["metadata"]
        if each["breadcrumb"] == breadcrumb
    ]
    assert isinstance(found, dict)
    return found


def as_full_table(catalog: Json, *streams: str) -> Json:
    """Return the catalog with these streams, or all, set to FULL_TABLE."""
    chosen: Json = json.loads(json.dumps(catalog))
    for each in chosen["streams"]:
        if not streams or each["tap_stream_id"] in streams:
            each["replication_method"] = "FULL_TABLE"
    return chosen


def select(catalog: Json, streams: Mapping[str, Iterable[str] | None]) -> Json:
    """Return the catalog with only these streams selected, and only the listed properties."""
    chosen: Json = json.loads(json.dumps(catalog))
    for each in chosen["streams"]:
        name = each["tap_stream_id"]
        fields = streams.get(name)
        wanted = None if fields is None else set(fields)
        for item in each["metadata"]:
            breadcrumb = item["breadcrumb"]
            if not breadcrumb:
                item["metadata"]["selected"] = name in streams
            elif wanted is not None:
                item["metadata"]["selected"] = breadcrumb[-1] in wanted
    return chosen
