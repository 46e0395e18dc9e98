"""A target that takes its time.

Invariant: it is busy for every record as long as its pace says, and otherwise waits for the tap.
"""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_RECORD = b'{"type":"RECORD"'
# Shorter waits would cost more than they last; what one lasts too long, the next ones make up for.
_SLACK_SECONDS = 0.01


def target_of(records_per_second: float) -> Callable[[IO[bytes]], None]:
    """Return what reads Singer messages to their end, at a pace.

    Args:
        records_per_second: The pace.
    """
    seconds = 1 / records_per_second

    def take(messages: IO[bytes]) -> None:
        busy_until = 0.0
        for message in messages:
            if not message.startswith(_RECORD):
                continue
            now = time.monotonic()
            busy_until = max(busy_until, now - _SLACK_SECONDS) + seconds
            if busy_until > now + _SLACK_SECONDS:
                time.sleep(busy_until - now)
        time.sleep(max(0.0, busy_until - time.monotonic()))

    return take
