"""One run of one organisation, from its lease to its figures."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from zoho_bulk_fleet.figures import (
    LATEST,
    name_of_run,
    totals_since,
    utc_now,
    write_figures,
)
from zoho_bulk_fleet.guard import LEASE_ENDED
from zoho_bulk_fleet.keeper import Keeper
from zoho_bulk_fleet.lease import Lease, LeaseHeldError
from zoho_bulk_fleet.outcome import Outcome, Result
from zoho_bulk_fleet.output import FilesOutput, LoaderOutput, OutputError
from zoho_bulk_fleet.pipeline import Readers, Step, Steps, running
from zoho_bulk_fleet.state import StateFile, newest_bookmark
from zoho_bulk_fleet.storage import Folder, StorageError
from zoho_bulk_fleet.tap_log import STRUCTURED, TapLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoho_bulk_fleet.fleet import Fleet
    from zoho_bulk_fleet.guard import Report
    from zoho_bulk_fleet.organisation import Organisation

logger = logging.getLogger(__name__)

_CATALOG = "catalog.json"
_DISCOVERED = "discovered.json"
_DAY = timedelta(days=1)
_CREDENTIALS = frozenset({"client_id", "client_secret", "refresh_token"})
_PARQUET = {"encoding": {"format": "parquet"}}
_NO_STATE = (
    "The loader printed no STATE, so the next run would read the same records again. "
    "Use a loader that prints the STATE of what it has committed."
)
_MAX_MESSAGE_CHARACTERS = 1000


def run(organisation: Organisation, fleet: Fleet) -> Result:
    """Sync an organisation once, and return how that ended.

    A signal that raises an exception in the calling thread stops the tap gracefully; the exception
    is raised again once what was read is loaded and its state is stored.

    Args:
        organisation: The organisation.
        fleet: Its fleet.

    Raises:
        ValueError: If the storage's URL is wrong, or a command is not found.
    """
    for command in (fleet.tap, organisation.loader):
        if command and shutil.which(command[0]) is None:
            raise ValueError(f"The command {command[0]} is not found. Install it, or set its path.")
    folder = Folder(fleet.storage, organisation.name, fleet.storage_options)
    owner = f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"
    lease = Lease(folder, owner, fleet.lease_seconds)
    try:
        lease.acquire()
    except LeaseHeldError as held:
        return Result(Outcome.HELD, str(held), held.seconds, {})
    except StorageError as error:
        return Result(Outcome.TRY_AGAIN_LATER, str(error), None, {})
    keeper = Keeper(lease, fleet.lease_seconds, fleet.timeout_seconds)
    keeper.start()
    try:
        return _Run(organisation, fleet, folder, lease, keeper).result()
    except StorageError as error:
        outcome = Outcome.TRY_AGAIN_LATER if keeper.holds else Outcome.LEASE_LOST
        return Result(outcome, str(error), None, {})
    finally:
        keeper.end()


class _EndedError(Exception):
    """The run ends before the tap does anything."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class _Run:
    def __init__(
        self,
        organisation: Organisation,
        fleet: Fleet,
        folder: Folder,
        lease: Lease,
        keeper: Keeper,
    ) -> None:
        self._organisation = organisation
        self._fleet = fleet
        self._folder = folder
        self._lease = lease
        self._keeper = keeper
        self._began = utc_now()
        self._name = name_of_run(self._began, lease.term)
        self._others = totals_since(folder, self._began - _DAY)
        self._log = TapLog(organisation.name)
        self._loader_line = ""
        self._report: Report | None = None
        self._credits_stored = 0
        self._state = StateFile(folder, lease.term)

    def result(self) -> Result:
        """Sync, leave figures and log, and return how it ended."""
        outcome, message = Outcome.STOPPED, "The run was stopped."
        try:
            outcome, message = self._sync()
        except StorageError as error:
            outcome = Outcome.TRY_AGAIN_LATER if self._keeper.holds else Outcome.LEASE_LOST
            message = f"{error}. The next run repeats what was not stored."
        except _EndedError as ended:
            outcome, message = ended.outcome, str(ended)
        except OutputError as error:
            outcome, message = Outcome.FAILED, str(error)
        except Exception as error:
            outcome, message = Outcome.FAILED, f"An unexpected error: {type(error).__name__}."
            raise
        finally:
            figures = self._leave(outcome, message)
        return Result(outcome, message, self._log.retry_after_seconds, figures)

    def _sync(self) -> tuple[Outcome, str]:
        settings = dict(self._organisation.settings)
        self._limit_credits(settings)
        catalog = self._catalog(settings)
        if catalog is None:
            return self._ended()
        self._limit_credits(settings)
        loader = self._organisation.loader
        output: LoaderOutput | FilesOutput
        if loader:
            output = LoaderOutput(self._state)
        else:
            output = FilesOutput(self._state, self._folder, f"data/{self._name}/messages.jsonl")
            settings.setdefault("batch_config", _PARQUET)
        with _directory() as directory:
            batches = settings.get("batch_config")
            if isinstance(batches, dict):
                root = directory if loader else f"{self._folder.url}/data/{self._name}"
                storage = {"root": root, **(batches.get("storage") or {})}
                settings["batch_config"] = {**batches, "storage": storage}
            files = {"--config": settings, "--catalog": catalog, "--state": self._state.value}
            steps = Steps(
                Step(self._fleet.tap, files, STRUCTURED),
                Step(loader, {"--config": {**self._organisation.loader_settings}})
                if loader
                else None,
                directory,
            )
            before = self._state.value
            self._pipe(steps, output.take, output.store)
        outcome, message = self._ended()
        is_new = self._state.value is not before
        if outcome.exit_code == 0 and self._log.ended.get("records") and not is_new:
            return Outcome.FIX_FIRST, _NO_STATE
        return outcome, message

    def _limit_credits(self, settings: dict[str, Any]) -> None:
        """Limit the tap to what is left of the credits of a day, also after its discovery."""
        cap = self._organisation.credits_per_day
        if cap is None:
            return
        left = cap - self._others["credits"] - self._log.credits
        if left <= 0:
            raise _EndedError(Outcome.INCOMPLETE, f"The {cap} API credits of 24 hours are spent.")
        limit = settings.setdefault("api_credit_limit", left)
        if isinstance(limit, int):  # Else the tap says what is wrong with it.
            settings["api_credit_limit"] = min(left, limit)

    def _pipe(self, steps: Steps, take: Callable[[bytes], None], store: Callable[[], None]) -> None:
        """Run tap and loader to their end, whatever ends them."""
        with (
            running(
                steps,
                deadline=self._lease.valid_until,
                grace_seconds=self._fleet.grace_seconds,
                readers=Readers(take, self._take_tap_log, self._take_loader_log),
            ) as pipeline,
            self._keeper.keeping(pipeline, partial(self._store, store)),
        ):
            try:
                self._report = pipeline.wait()
            except BaseException:
                # Such as what Airflow raises in a task that it ends, or Ctrl-C
                pipeline.stop()
                self._report = pipeline.wait()
                raise
            finally:
                # Also without the lease: what is loaded is loaded, and a later run's state counts.
                self._store(store)

    def _catalog(self, settings: Mapping[str, Any]) -> object:
        """Return the operator's catalog, or else the discovered one; None if discovery failed."""
        if (own := self._folder.read(_CATALOG)) is not None:
            try:
                return json.loads(own)
            except ValueError as error:
                raise _EndedError(
                    Outcome.FIX_FIRST,
                    f"{_CATALOG} in {self._folder.url} is not JSON: {error}. Correct or remove it.",
                ) from error
        asked = {name: settings[name] for name in sorted(settings.keys() - _CREDENTIALS)}
        asked.pop("api_credit_limit", None)
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        kept = self._folder.read_json(_DISCOVERED)
        # What another version of this package has stored is discovered again.
        with suppress(KeyError, TypeError, ValueError):
            if (
                kept["settings"] == digest
                and datetime.fromisoformat(kept["at"]) > self._began - _DAY
            ):
                return kept["catalog"]
        printed: list[bytes] = []
        tap = Step([*self._fleet.tap, "--discover"], {"--config": settings}, STRUCTURED)
        with _directory() as directory:
            self._pipe(Steps(tap, None, directory), printed.append, lambda: None)
        if self._report is None or self._report.tap or self._report.killed:
            return None
        try:
            catalog = json.loads(b"".join(printed))
        except ValueError as error:
            raise OutputError(f"The tap's catalog is not JSON: {error}.") from error
        found = {"at": self._began.isoformat(), "settings": digest, "catalog": catalog}
        self._folder.write(_DISCOVERED, json.dumps(found).encode())
        return catalog

    def _ended(self) -> tuple[Outcome, str]:
        """Return how tap and loader ended, and why."""
        report, log = self._report, self._log
        assert report is not None  # noqa: S101
        if not self._keeper.holds or report.killed == LEASE_ENDED:
            return Outcome.LEASE_LOST, "The lease could not be renewed in time."
        if self._keeper.timed_out:
            return Outcome.STOPPED, "The run's time was over. The next one continues."
        if report.killed:
            return Outcome.FAILED, f"Tap and loader were killed: {report.killed}."
        why = log.error or log.last_line or f"The tap ended with exit code {report.tap}."
        if report.loader:
            why = self._loader_line or why
            return Outcome.FAILED, f"The loader failed with exit code {report.loader}: {why}"
        incomplete = log.ended.get("incomplete", [])
        outcome = Outcome.of_tap(report.tap, incomplete=bool(incomplete))
        messages = {
            Outcome.OK: "",
            Outcome.INCOMPLETE: "The limit of API credits ended these streams early: "
            f"{', '.join(incomplete)}.",
        }
        return outcome, messages.get(outcome, why)

    def _take_tap_log(self, line: bytes) -> None:
        self._log.take(self._organisation.redact(line))

    def _take_loader_log(self, line: bytes) -> None:
        text = (
            self._organisation.redact(line)
            .decode(errors="replace")
            .rstrip()[:_MAX_MESSAGE_CHARACTERS]
        )
        if text:
            self._loader_line = text
            logger.info("%s: loader: %s", self._organisation.name, text)

    def _store(self, store: Callable[[], None]) -> None:
        """Store progress, and what was spent so far, which counts even if this run is killed."""
        store()
        if self._log.credits != self._credits_stored:
            self._credits_stored = self._log.credits
            write_figures(self._folder, self._name, self._figures("running", ""))

    def _leave(self, outcome: Outcome, message: str) -> dict[str, Any]:
        """Store the figures and the log, and return the figures."""
        folder, figures = self._folder, self._figures(outcome.value, message)
        try:
            for key in ("credits", "records"):
                figures[f"{key}_24h"] = self._others[key] + figures[key]
            newest = folder.read_json(LATEST)
            last_ok = newest.get("last_ok") if isinstance(newest, dict) else None
            figures["last_ok"] = figures["began"] if outcome is Outcome.OK else last_ok
            folder.write(f"logs/{self._name}.jsonl.gz", self._log.compressed())
            write_figures(folder, self._name, figures, newest=self._keeper.holds)
            if outcome in {Outcome.FIX_FIRST, Outcome.STREAMS_FAILED}:
                folder.remove([_DISCOVERED])  # The catalog may be the cause.
        except StorageError as error:
            logger.warning("%s. This run's figures are lost.", error)
        finally:
            self._log.close()
        return figures

    def _figures(self, outcome: str, message: str) -> dict[str, Any]:
        log, now = self._log, utc_now()
        bookmark = newest_bookmark(self._state.value)
        return {
            "organisation": self._organisation.name,
            "outcome": outcome,
            "message": message,
            "began": self._began.isoformat(),
            "seconds": (now - self._began).total_seconds(),
            "tap_seconds": log.ended.get("seconds", 0.0),
            "records": log.ended.get("records", 0),
            "jobs": log.ended.get("jobs", 0),
            "bytes": log.ended.get("bytes", 0),
            "credits": log.credits,
            "newest_bookmark": bookmark and bookmark.isoformat(),
            "lag_seconds": bookmark and (now - bookmark).total_seconds(),
            "failed_streams": log.failed_streams,
            "incomplete_streams": log.ended.get("incomplete", []),
            "retry_after_seconds": log.retry_after_seconds,
            "term": self._lease.term,
            "peak_memory_bytes": self._report.peak_memory_bytes if self._report else 0,
            "cpu_seconds": self._report.cpu_seconds if self._report else 0.0,
            "host": socket.gethostname(),
        }


def _directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for BATCH files. The guard removes it if this process is killed."""
    return tempfile.TemporaryDirectory(prefix="zoho-bulk-fleet-", ignore_cleanup_errors=True)
