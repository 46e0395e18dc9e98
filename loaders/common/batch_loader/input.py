"""The tap's messages, line by line.

Invariant: a signal does not end the input, the tap does. Ctrl-C at a terminal reaches both. The tap
then stops after its current records and sends a last STATE, which the loader still hands on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ_BYTES = 1 << 16

# As in the tap: Ctrl-C on `meltano run` sends SIGINT, and SIGTERM right after it.
_GRACEFUL_SIGNALS = 2
_SECOND_SIGNAL_SECONDS = 5

# Meltano sends SIGTERM to tap and loader, and never closes the loader's input.
_SILENCE_SECONDS = 3


class Input:
    """The lines of stdin, which signals to stop do not cut off.

    Handles these signals from its creation on.
    """

    def __init__(self) -> None:
        self._signals: list[int] = []
        self._stopped_at = 0.0
        self._wakeup, wakeup_end = os.pipe()
        os.set_blocking(wakeup_end, False)
        signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._stop)

    def __iter__(self) -> Iterator[str]:
        """Yield the lines until the tap ends."""
        rest = b""
        while chunk := self._read(sys.stdin.fileno()):
            *complete, rest = (rest + chunk).split(b"\n")
            for line in complete:
                yield line.decode()
        if rest:
            yield from _last(rest.decode(errors="replace"))

    def _read(self, pipe: int) -> bytes:
        """Return the next bytes; none at the end, or if a stopped tap is silent."""
        while True:
            timeout = _SILENCE_SECONDS if signal.SIGTERM in self._signals else None
            ready, _, _ = select.select([pipe, self._wakeup], [], [], timeout)
            if self._wakeup in ready:
                os.read(self._wakeup, _READ_BYTES)
            elif ready:
                return os.read(pipe, _READ_BYTES)
            else:
                return b""

    def _stop(self, signum: int, _: object) -> None:
        """Note a signal; end at once if it is the third, or a late second one."""
        self._signals.append(signum)
        now = time.monotonic()
        if len(self._signals) == 1:
            self._stopped_at = now
            name = signal.Signals(signum).name
            _say(f"{name}: loading what the tap still sends. Another one later ends this at once.")
        elif len(self._signals) > _GRACEFUL_SIGNALS or (
            now - self._stopped_at > _SECOND_SIGNAL_SECONDS
        ):
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)


def _last(line: str) -> Iterator[str]:
    """Yield the last line, which lacks its end, unless a killed tap left it incomplete."""
    try:
        json.loads(line)
    except ValueError:
        _say("The tap ended in the middle of a message, which is left out.")
    else:
        yield line


def _say(text: str) -> None:
    # Not by `print`: a signal's handler may interrupt another one.
    os.write(sys.stderr.fileno(), f"{text}\n".encode())
