"""What all streams share: bookmarks are moved by the stream, and its failures stay its own.

Invariant: the SDK moves no bookmark. It would move it with every record, before anybody knows
whether the records came whole.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timezone
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from typing_extensions import override

from tap_zoho_bulk.exceptions import SignInError, StoppedError, UnreadableStreamError
from tap_zoho_bulk.settings import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.helpers.types import Context

    from tap_zoho_bulk.tap import TapZohoBulk


class ZohoStream(Stream):
    """A stream of this tap.

    Args:
        tap: The tap.
        name: Name of the stream.
        schema: JSON Schema of its records, which the stream makes just so.
    """

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: TapZohoBulk, *, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.zoho_tap = tap

    @contextmanager
    def failing_alone(self) -> Iterator[None]:
        """Let what goes wrong inside end this stream only; the run ends non-zero later."""
        summary = self.zoho_tap.summary
        summary.begin(self.name)
        try:
            yield
        except (BrokenPipeError, SignInError, StoppedError):
            summary[self.name].outcome = "stopped"
            raise  # They are no stream's own.
        except Exception as error:  # noqa: BLE001 - the tap raises it when the others are done
            self.zoho_tap.stream_failed(self.name, error)
        finally:
            summary.end(self.name)

    def bookmark(self, state: dict[str, Any]) -> str | None:
        """Read a bookmark.

        Args:
            state: Of the stream, or of a part of it.

        Returns:
            The instant in UTC form; None where there is none for the replication key.

        Raises:
            UnreadableStreamError: When it is no date-time.
        """
        if state.get("replication_key") != self.replication_key:
            return None
        value = state.get("replication_key_value")
        if not value:
            return None
        try:
            return parse_instant(value).astimezone(timezone.utc).isoformat()
        except (TypeError, ValueError) as error:
            raise UnreadableStreamError(
                f"{self.name}: the state's bookmark, {value!r}, is no date-time. Mend it, or take "
                "it out to read everything."
            ) from error

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the SDK's starting marker out of STATE."""

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Context | None = None
    ) -> None:
        """Leave the bookmark where it is."""

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Give none: the local clock says nothing about Zoho's."""
