"""The loaders of this repository, run without Meltano."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.meltano_project import loader_executable
from tests.support.singer import MAX_RUN_SECONDS, ROOT
from tests.support.warehouse import SCHEMA, DuckDBWarehouse, PostgresWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from typing_extensions import Self

    from tests.support.singer import Json
    from tests.support.warehouse import Warehouse


@dataclass(frozen=True)
class Loader:
    """A loader, and the warehouse that it fills.

    Args:
        plugin: Its name in `meltano.yml`.
        directory: For its files.
        warehouse: The warehouse.
        settings: How to reach the warehouse.
    """

    plugin: str
    directory: Path
    warehouse: Warehouse
    settings: Json = field(repr=False)

    def command(self, **settings: Any) -> list[str]:
        """Return its command line, with the settings of `meltano.yml` and these."""
        plugin = plugin_of("loaders", self.plugin)
        config = self.directory / f"{self.plugin}.json"
        config.write_text(json.dumps({**plugin["config"], **self.settings, **settings}))
        executable = loader_executable(self.plugin, plugin["executable"])
        return [str(executable), "--config", str(config)]

    def start(self, **settings: Any) -> RunningLoader:
        """Start it."""
        return RunningLoader(self.command(**settings))

    def load(self, tap: Sequence[str], **settings: Any) -> Json:
        """Run a tap into it, and return the last state.

        Args:
            tap: The tap's command line.
            settings: Of the loader.
        """
        with (
            (self.directory / "log").open("w+") as log,
            subprocess.Popen(tap, stdout=subprocess.PIPE, stderr=log) as running,
        ):
            loaded = subprocess.run(
                self.command(**settings),
                stdin=running.stdout,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
            )
            codes = [running.wait(MAX_RUN_SECONDS), loaded.returncode]
            log.seek(0)
            assert codes == [0, 0], log.read()
        state: Json = [json.loads(line) for line in loaded.stdout.splitlines()][-1]
        return state


def duckdb_loader(directory: Path) -> Loader:
    """Return the loader of a DuckDB file in a directory."""
    directory.mkdir(exist_ok=True)
    file = directory / "test.duckdb"
    return Loader("target-duckdb", directory, DuckDBWarehouse(file), {"filepath": str(file)})


def postgres_loader(directory: Path, uri: str, schema: str = SCHEMA) -> Loader:
    """Return the loader of a schema in a PostgreSQL database."""
    directory.mkdir(exist_ok=True)
    settings = {
        "sqlalchemy_url": uri.replace("postgresql:", "postgresql+psycopg:"),
        "default_target_schema": schema,
    }
    return Loader("target-postgres", directory, PostgresWarehouse(uri, schema), settings)


def batch_config(folder: Path) -> Json:
    """Return the `batch_config` of `meltano.yml`, with its files in a folder."""
    config: Json = plugin_of("extractors", "tap-zoho-bulk-batch")["config"]["batch_config"]
    return {**config, "storage": {"root": folder.as_uri()}}


def plugin_of(kind: str, name: str) -> Json:
    """Return a plugin of `meltano.yml`."""
    plugins = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"][kind]
    (found,) = [plugin for plugin in plugins if plugin["name"] == name]
    assert isinstance(found, dict)
    return found


class RunningLoader:
    """A loader in a subprocess, which ends with the block.

    Args:
        command: Its command line.
    """

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._changed = threading.Condition()
        self._states: list[Json] = []
        self._log = ""
        self._readers = [
            threading.Thread(target=self._read, args=arguments, daemon=True)
            for arguments in (
                (self.process.stdout, self._state_read),
                (self.process.stderr, self._log_read),
            )
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        with self.process:  # Closes its pipes.
            for reader in self._readers:
                reader.join()

    def _read(self, lines: Iterable[str], take: Callable[[str], None]) -> None:
        for line in lines:
            with self._changed:
                take(line)
                self._changed.notify_all()

    def _state_read(self, line: str) -> None:
        self._states.append(json.loads(line))

    def _log_read(self, line: str) -> None:
        self._log += line

    def send(self, *messages: Json) -> None:
        """Send messages."""
        self.write("".join(json.dumps(message) + "\n" for message in messages))

    def write(self, lines: str) -> None:
        """Send lines; if the loader has ended, its exit code and log say why."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.write(lines)
            self.process.stdin.flush()

    def wait_for_state(self, state: Json) -> None:
        """Wait until the loader has handed on a state."""
        self._wait(lambda: state in self._states)

    def wait_for_log(self, text: str) -> None:
        """Wait until its log contains a text."""
        self._wait(lambda: text in self._log)

    def _wait(self, seen: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(seen, MAX_RUN_SECONDS), self._log

    def end(self, *, close: bool = True) -> tuple[int, list[Json], str]:
        """Wait until it has ended; return its exit code, its states and its log.

        Args:
            close: Whether its input ends, as with a tap that ends.
        """
        assert self.process.stdin
        if close:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        exit_code = self.process.wait(MAX_RUN_SECONDS)
        for reader in self._readers:
            reader.join()
        return exit_code, self._states, self._log
