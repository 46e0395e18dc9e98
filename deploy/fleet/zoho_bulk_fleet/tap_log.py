"""What the tap's structured log says of a run.

Source: tap-zoho-bulk's docs/watch.md, and the events in its `reporting/events.py`.
"""

from __future__ import annotations

import gzip
import json
import logging
import tempfile
import threading
from typing import Any

logger = logging.getLogger(__name__)

_MAX_LOG_BYTES = 64 << 20
"""Of a log that is kept. A run that logs more is one that repeats itself."""
_MAX_MESSAGE_CHARACTERS = 1000
_METRICS = "singer_sdk.metrics"
"""Whose messages are the same word each time."""


STRUCTURED = {
    "SINGER_SDK_LOG_CONFIG": {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "singer_sdk.logging.StructuredFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
    }
}
"""The environment variable whose file makes the SDK log lines of JSON."""


class TapLog:
    """Reads a tap's log: keeps it, passes its messages on, and notes what matters.

    Args:
        organisation: The organisation's name, for the messages.
    """

    def __init__(self, organisation: str) -> None:
        self._organisation = organisation
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._gzip = gzip.open(self._file, "wb")  # noqa: SIM115
        self._bytes = 0
        self._lock = threading.Lock()
        self.ended: dict[str, Any] = {}
        """Fields of the event `run_ended`; {} if the tap has not ended its run."""
        self._credits: dict[str, int] = {}
        self._discovery_credits = 0
        self.failed_streams: list[str] = []
        self.error = ""
        """The first error, which the others follow from."""
        self.last_line = ""
        """The last line that is not structured, such as the end of a traceback."""
        self.retry_after_seconds: float | None = None
        """How long Zoho asks to wait, if that is longer than a run waits."""

    def take(self, line: bytes) -> None:
        """Read one line of the log.

        Args:
            line: With its end.
        """
        with self._lock:
            if self._bytes < _MAX_LOG_BYTES:
                self._bytes += self._gzip.write(line)
        try:
            entry = json.loads(line)
            event, text = entry["extra"].get("sync_event", {}), entry["message"]
            level = logging.getLevelName(entry["level"].upper())
            if entry.get("logger_name") == _METRICS:
                level = logging.DEBUG
        except (ValueError, KeyError, TypeError, AttributeError):
            event, text, level = {}, line.decode(errors="replace").rstrip(), logging.WARNING
            self.last_line = text[:_MAX_MESSAGE_CHARACTERS]
        if not isinstance(event, dict):
            event = {}
        self._note(event, str(text), level if isinstance(level, int) else logging.INFO)

    @property
    def credits(self) -> int:
        """The API credits that were spent."""
        spent = self.ended.get("credits", sum(self._credits.values()))
        return self._discovery_credits + int(spent)

    def _note(self, event: dict[str, Any], text: str, level: int) -> None:
        kind, stream = event.get("kind"), str(event.get("stream"))
        if kind == "discovery_ended":
            self._discovery_credits = event["credits"]
        elif "credits" in event:  # so far, by this stream
            self._credits[stream] = event["credits"]
        if kind == "run_ended":
            self.ended = event
        elif kind == "stream_ended" and event.get("outcome") == "FAILED":
            self.failed_streams.append(stream)
        elif kind == "wait_refused":
            self.retry_after_seconds = max(self.retry_after_seconds or 0.0, event["seconds"])
        if level >= logging.ERROR and not self.error:
            self.error = " ".join(text[:_MAX_MESSAGE_CHARACTERS].split())
        logger.log(level, "%s: %s", self._organisation, text[:_MAX_MESSAGE_CHARACTERS])

    def compressed(self) -> bytes:
        """Return the log, by gzip. It is complete then."""
        with self._lock:
            self._gzip.close()
            self._file.seek(0)
            return self._file.read()

    def close(self) -> None:
        """Remove the log's file."""
        with self._lock:
            self._gzip.close()
            self._file.close()
