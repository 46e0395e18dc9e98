"""The machine that the tap runs on: runs in this process, which end as processes do.

A run here takes a fraction of the time of a process. It dies by an exception that nothing catches,
and what it would still write is lost; its threads end before the next run.
"""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import threading
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from typing_extensions import override

from tap_zoho_bulk.exceptions import StoppedError, TapZohoBulkError
from tap_zoho_bulk.tap import TapZohoBulk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

Json = dict[str, Any]

_OTHER_THREADS = ("AnyIO", "zoho-", "asyncio", "Dummy-")
"""Those of servers, and those that Python did not start by `threading`: they cannot be joined."""
_THREADS_END_SECONDS = 30
_RUN_SECONDS = 60
_LOGGER = "tap-zoho-bulk"
_METRICS = "singer_sdk.metrics"


class KilledError(BaseException):
    """The process is gone. Nothing in the tap catches it."""


class Pipe(io.TextIOBase):
    """The tap's stdout.

    Args:
        on_message: Called with each message, in order; what it raises ends the run.
    """

    def __init__(self, on_message: Callable[[Json], None]) -> None:
        self.buffer = self
        self.lost = False
        """Whether nothing arrives any more."""
        self.writes = 0
        self._on_message = on_message
        self._descriptor: int | None = None

    @override
    def write(self, data: Any) -> int:
        """Pass on the messages of some complete lines."""
        lines = bytes(data).split(b"\n")
        assert lines.pop() == b"", "a line without its end"
        for line in lines:
            if self.lost:
                break
            self._on_message(json.loads(line, parse_float=Decimal))
        self.writes += 1
        return len(data)

    @override
    def fileno(self) -> int:
        """Return a descriptor of nothing, which the tap replaces when the target has gone."""
        if self._descriptor is None:
            self._descriptor = os.open(os.devnull, os.O_WRONLY)
        return self._descriptor

    @override
    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()


@dataclass
class Ended:
    """How a run ended, and what it logged.

    Attributes:
        error: What ended it, if anything did.
        log: Its log.
        surprises: Errors that it did not expect.
        restarted: Streams whose chain it restarted.
        hung: Whether it had to be ended.
    """

    error: BaseException | None = None
    log: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    restarted: set[str] = field(default_factory=set)
    hung: bool = False


class _Log(logging.Handler):
    """Keeps the log, and which errors the tap did not expect."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(logging.INFO)
        self._ended = ended

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._ended.log.append(f"{record.levelname} {record.getMessage()}")
        error = record.exc_info[1] if record.exc_info else None
        expected = (TapZohoBulkError, StoppedError, BrokenPipeError, KilledError)
        if error is not None and not isinstance(error, expected):
            self._ended.surprises.append(repr(error))
        happened = getattr(record, "sync_event", {})
        if happened.get("kind") == "chain_restarted":
            self._ended.restarted.add(happened["stream"])


class Machine:
    """Runs the tap, with a clock of its own.

    Args:
        clock: Returns the machine's time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._tap: TapZohoBulk | None = None

    def discover(self, config: Json) -> Json:
        """Return the catalog of an account."""
        with self._prepared(Ended()):
            return dict(TapZohoBulk(config=config).catalog_dict)

    def run(self, pipe: Pipe, *, config: Json, catalog: Json, state: Json | None) -> Ended:
        """Run the tap until it ends, in any way."""
        ended = Ended()
        before = set(threading.enumerate())
        watchdog = threading.Timer(_RUN_SECONDS, self._give_up, (pipe, ended))
        watchdog.start()
        with self._prepared(ended), redirect_stdout(pipe):
            try:
                copied = json.loads(json.dumps(state or {}))
                self._tap = TapZohoBulk(config=config, catalog=catalog, state=copied)
                self._tap.sync_all()
            except (Exception, KilledError, StoppedError) as error:  # noqa: BLE001 - for the story
                ended.error = error
            finally:
                self._tap = None
                watchdog.cancel()
        for thread in set(threading.enumerate()) - before:
            if not thread.name.startswith(_OTHER_THREADS):
                thread.join(_THREADS_END_SECONDS)
                assert not thread.is_alive(), f"the thread {thread.name} outlives the run"
        return ended

    def send_signal(self) -> None:
        """Send SIGTERM to the running tap, from any thread."""
        tap = self._tap
        if tap is not None:
            tap.stop(signal.SIGTERM)

    def lose_power(self, pipe: Pipe) -> None:
        """End the running tap at once: nothing that it still does reaches a target."""
        pipe.lost = True
        tap = self._tap
        if tap is not None:
            tap.run.stop.set()

    def _give_up(self, pipe: Pipe, ended: Ended) -> None:
        ended.hung = True
        self.lose_power(pipe)

    @contextmanager
    def _prepared(self, ended: Ended) -> Iterator[None]:
        """Prepare the process for a run, and restore it."""
        clock = self._clock

        class LocalTime(datetime):
            @classmethod
            @override
            def now(cls, tz: tzinfo | None = None) -> LocalTime:
                return cls.fromtimestamp(clock().timestamp(), tz)

        logger, log = logging.getLogger(_LOGGER), _Log(ended)
        propagate, level = logger.propagate, logger.level
        signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with ExitStack() as stack:
            stack.enter_context(patch("backoff.full_jitter", lambda _: 0.0))
            stack.enter_context(patch("tap_zoho_bulk.streams.whole_reads.datetime", LocalTime))
            local = SimpleNamespace(time=lambda: clock().timestamp())
            stack.enter_context(patch("tap_zoho_bulk.streams.full_table.time", local))
            logger.addHandler(log)
            logger.propagate = False
            logger.setLevel(logging.INFO)
            logging.getLogger(_METRICS).setLevel(logging.WARNING)
            try:
                yield
            finally:
                logger.removeHandler(log)
                logger.propagate = propagate
                logger.setLevel(level)
                if threading.current_thread() is threading.main_thread():
                    for number, handler in signals.items():
                        signal.signal(number, handler)
