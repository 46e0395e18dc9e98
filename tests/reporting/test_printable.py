"""Whatever text is logged, its record has one line, and does nothing to a terminal."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from singer_sdk.logging import ConsoleFormatter, StructuredFormatter
from typing_extensions import override

from tap_zoho_bulk.reporting.events import FIELD, event
from tap_zoho_bulk.reporting.printable import PrintableRecord, printable
from tests.support.hostile_text import check_lines, hostile

if TYPE_CHECKING:
    from collections.abc import Iterator


@settings(max_examples=50)
@given(st.text())
@example("\ud800")
@example("\U000e0001")
def test_any_text_becomes_printable_and_loses_nothing(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert (shown == text) == text.isprintable()
    for part in filter(str.isprintable, text):
        assert part in shown


class Kept(logging.Handler):
    """Keeps the records of a logger and its children."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def console(self) -> str:
        """Return the only record as the SDK prints it."""
        (record,) = self.records
        return ConsoleFormatter().format(record)

    def structured(self) -> dict[str, Any]:
        """Return the only record as the SDK writes it for programs."""
        (record,) = self.records
        return dict(json.loads(StructuredFormatter().format(record)))


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Make the records of all loggers printable, and return those of a logger."""
    usual, handler = logging.getLogRecordFactory(), Kept()
    logging.setLogRecordFactory(PrintableRecord)
    logger = logging.getLogger("printable")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logging.setLogRecordFactory(usual)


def first() -> None:
    raise KeyError(hostile("first"))


def second() -> None:
    try:
        first()
    except KeyError:
        raise LookupError(hostile("second"))  # noqa: B904 - the first is its context


def third() -> None:
    try:
        second()
    except LookupError as error:
        raise ValueError(hostile("third")) from error


def raised() -> Exception:
    """Return an exception with a cause, which has a context."""
    with pytest.raises(ValueError, match="third") as caught:
        third()
    return caught.value


def test_arguments_messages_and_names_of_loggers_are_printable(kept: Kept) -> None:
    logger = logging.getLogger("printable").getChild(hostile("child"))

    logger.error("%s failed: %s", hostile("stream"), [hostile("one")])

    check_lines(kept.console())
    written = kept.structured()
    for text in (written["message"], written["logger_name"]):
        check_lines(text)
        assert "\n" not in text
    assert "forged" in written["message"]


def test_a_message_without_arguments_is_printable(kept: Kept) -> None:
    logging.getLogger("printable").error(hostile("error"))

    check_lines(kept.console())
    assert kept.structured()["message"].startswith("error:\\x1b[2J")


def test_events_are_printable(kept: Kept) -> None:
    fields = event("fields_left_out", hostile("stream"), names=[hostile("a")], code=hostile("code"))
    logging.getLogger("printable").error("x", extra=fields)

    extra = kept.structured()["extra"]
    for text in (extra[FIELD]["stream"], extra[FIELD]["code"], *extra[FIELD]["names"]):
        assert text.isprintable()
    assert kept.structured()["stream_name"] == extra[FIELD]["stream"]


def test_exceptions_keep_their_names_and_causes(kept: Kept) -> None:
    logging.getLogger("printable").error("x", exc_info=raised())

    shown = kept.console()
    check_lines(shown)
    for text in ("KeyError: ", "LookupError: second:", "ValueError: third:", "direct cause"):
        assert text in shown
    written = kept.structured()["exception"]
    cause = written["cause"]
    chain = (written, cause, cause["context"])
    assert [each["type"] for each in chain] == ["ValueError", "LookupError", "KeyError"]
    for each in chain:
        assert each["message"].isprintable()
        assert each["traceback"]


def test_a_circle_of_causes_ends(kept: Kept) -> None:
    error = raised()
    assert error.__cause__ is not None
    error.__cause__.__context__ = error

    logging.getLogger("printable").error("x", exc_info=error)

    check_lines(kept.console())


def test_other_exceptions_stay_as_they_are(kept: Kept) -> None:
    error = ValueError("plain")

    logging.getLogger("printable").error("x", exc_info=error)

    assert kept.records[0].exc_info is not None
    assert kept.records[0].exc_info[1] is error


def test_no_exception_is_no_trouble(kept: Kept) -> None:
    logging.getLogger("printable").error("x", exc_info=sys.exc_info())

    assert "| x" in kept.console()
