"""The tree of errors in the docstring of `exceptions.py` is that of the classes."""

from __future__ import annotations

import re

import pytest

from tap_zoho_bulk import exceptions
from tap_zoho_bulk.exceptions import (
    ExitCode,
    InvalidValueError,
    JobFailedError,
    PageDamagedError,
    StoppedError,
    StreamsFailedError,
    TapZohoBulkError,
)
from tap_zoho_bulk.reporting.run_log import NoEventsError


def drawn() -> dict[str, str | None]:
    """Return the name of each error in the docstring, with that of its parent."""
    parents: dict[str, str | None] = {}
    open_errors: list[tuple[int, str]] = []
    for line in (exceptions.__doc__ or "").splitlines():
        match = re.match(r"[ │├└─]+(?=\w+Error\b)", line)
        if match is None:
            continue
        depth, name = match.end(), line[match.end() :].split()[0]
        open_errors = [each for each in open_errors if each[0] < depth]
        parents[name] = open_errors[-1][1] if open_errors else None
        open_errors.append((depth, name))
    return parents


def test_the_docstring_draws_every_error_below_its_parent() -> None:
    defined: list[type[BaseException]] = [
        *(
            each
            for each in vars(exceptions).values()
            if isinstance(each, type) and issubclass(each, BaseException)
        ),
        NoEventsError,
    ]
    roots = {TapZohoBulkError, StoppedError}

    assert drawn() == {
        each.__name__: None if each in roots else each.__bases__[0].__name__ for each in defined
    }


@pytest.mark.parametrize(
    ("failures", "selected", "code"),
    [
        ([JobFailedError(), PageDamagedError()], 2, ExitCode.TRY_AGAIN_LATER),
        ([JobFailedError(), PageDamagedError()], 3, ExitCode.STREAMS_FAILED),
        ([JobFailedError(), InvalidValueError()], 2, ExitCode.STREAMS_FAILED),
        ([InvalidValueError()], 1, ExitCode.FIX_FIRST),
        ([ZeroDivisionError()], 1, ExitCode.FAILED),
    ],
)
def test_a_run_in_which_all_streams_failed_alike_ends_like_each_of_them(
    failures: list[Exception], selected: int, code: ExitCode
) -> None:
    named = {f"Stream_{number}": error for number, error in enumerate(failures)}

    assert StreamsFailedError(named, selected).exit_code == code
