"""A Meltano project for one test or demo: this repository's `meltano.yml`, or a new one.

Plugins are those that `make` installed in the repository, and those that a new project adds. The
project has a database, runs and logs of its own, and inherits no settings from the environment.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tests.support.program import Program, inherited
from tests.support.singer import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN_FIELDS = ["*.*", "!*.*__last_name", "!*.*__*_Name", "!*.*__Subject"]
"""Selects all but parents' names, which become outdated while their records stay unchanged."""
_INSTALLED = ROOT / ".meltano"
_FOREIGN = ("MELTANO_", "TAP_", "TARGET_")


class MeltanoProject:
    """A Meltano project in a directory of its own.

    Args:
        directory: An empty or missing directory.
        settings: Settings by plugin; objects and arrays go to the plugin as JSON.
    """

    def __init__(self, directory: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
        _require_plugins()
        self.directory = directory
        self._environment = inherited(*_FOREIGN)
        self._environment["MELTANO_AUTO_INSTALL"] = "false"
        for plugin, values in settings.items():
            for name, value in values.items():
                variable = f"{plugin}_{name}".replace("-", "_").upper()
                self._environment[variable] = value if isinstance(value, str) else json.dumps(value)
        self._create()

    def _create(self) -> None:
        (self.directory / ".meltano").mkdir(parents=True)
        (self.directory / "meltano.yml").write_bytes((ROOT / "meltano.yml").read_bytes())
        self._link("extractors")
        self._link("loaders")

    def _link(self, kind: str) -> None:
        (self.directory / ".meltano" / kind).symlink_to(_INSTALLED / kind)

    def meltano(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Meltano command, and return its output and exit code."""
        with TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
            exit_code = (
                _meltano()
                .start(
                    arguments,
                    self._environment,
                    directory=self.directory,
                    outputs=(stdout.fileno(), stderr.fileno()),
                )
                .wait()
            )
            stdout.seek(0)
            stderr.seek(0)
            return subprocess.CompletedProcess(arguments, exit_code, stdout.read(), stderr.read())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a Meltano command in a session of its own, as a terminal does."""
        return subprocess.Popen(
            [Path(sysconfig.get_path("scripts")) / "meltano", *arguments],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *plugins: str) -> str:
        """Run a pipeline, and return its log.

        Raises:
            PipelineError: If it failed.
        """
        done = self.meltano("run", *plugins)
        log = done.stderr + done.stdout
        if done.returncode:
            raise PipelineError(f"meltano run {' '.join(plugins)} failed:\n{log}")
        return log


class NewMeltanoProject(MeltanoProject):
    """A project as `meltano init` creates it: without plugins, but with installed loaders."""

    @override
    def _create(self) -> None:
        self.directory.mkdir()
        done = self.meltano("init", ".", "--no-usage-stats")
        if done.returncode:
            raise RuntimeError(f"meltano init failed:\n{done.stderr}{done.stdout}")
        self._link("loaders")


class PipelineError(Exception):
    """A pipeline failed; the message contains its log."""


def loader_executable(plugin: str, executable: str) -> Path:
    """Return the path of a loader's executable, to run it without Meltano."""
    _require_plugins()
    return _INSTALLED / "loaders" / plugin / "venv" / "bin" / executable


@cache
def _meltano() -> Program:
    """Return what starts Meltano, until this process ends."""
    return Program("meltano", "meltano.cli:main")


def _require_plugins() -> None:
    if not (_INSTALLED / "installed").exists():
        raise RuntimeError(
            "Meltano's plugins are not installed: `make test` and `make demo` install them, "
            "`make .meltano/installed` alone, too"
        )
