"""Printable text: what comes from Zoho cannot move a terminal's cursor, nor forge a log line.

Names, labels, error messages and the like go where people read them. There, control characters,
bidirectional marks and other characters that print nothing stand as Python's escapes.

Invariant: a record that is logged has one line of text, and each exception in it has one. This
holds for the message, the event and the exceptions alike, whatever handlers and formatters do.
"""

from __future__ import annotations

import logging
from typing import Any

from typing_extensions import override


def printable(text: str) -> str:
    r"""Return a text with escapes, such as `\n` and `\u202e`, for all that is not printable.

    Args:
        text: From anywhere.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def printable_values(value: Any) -> Any:
    """Return a JSON value in which all text is printable.

    Args:
        value: From anywhere.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): printable_values(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable_values(each) for each in value]
    return value


class PrintableRecord(logging.LogRecord):
    """A log record with printable text, for `logging.setLogRecordFactory`.

    A factory sees the records of all loggers; a filter of a logger would not see its children's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = printable(self.name)
        if not self.args:  # Formatters may use the message as it is.
            self.msg = printable(str(self.msg))
        if self.exc_info is not None and self.exc_info[1] is not None:
            error = _printable_error(self.exc_info[1])
            self.exc_info = type(error), error, self.exc_info[2]

    @override
    def getMessage(self) -> str:
        return printable(super().getMessage())


def _printable_error(error: BaseException) -> BaseException:
    """Return an exception that is logged like another one, with printable text.

    Args:
        error: Returned as it is if its text, and that of all its causes, is printable.
    """
    chain = {id(error): error}
    for each in (pending := [error]):
        for cause in (each.__cause__, each.__context__):
            if cause is not None and id(cause) not in chain:
                chain[id(cause)] = cause
                pending.append(cause)
    if all(str(each).isprintable() for each in pending):
        return error
    shown = {number: _named_alike(each) for number, each in chain.items()}
    for number, each in chain.items():
        shown[number].__context__ = shown.get(id(each.__context__))
        shown[number].__cause__ = shown.get(id(each.__cause__))
        shown[number].__suppress_context__ = each.__suppress_context__
    return shown[id(error)]


def _named_alike(error: BaseException) -> BaseException:
    kind = type(error)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    shown: BaseException = type(kind.__name__, (Exception,), names)(printable(str(error)))
    return shown.with_traceback(error.__traceback__)
