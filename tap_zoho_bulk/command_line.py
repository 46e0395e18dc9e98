"""The command line of the tap and its plan: files, errors for people, exit codes for programs."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

import click
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tap_zoho_bulk.exceptions import StoppedError, TapZohoBulkError, TargetGoneError
from tap_zoho_bulk.reporting.printable import printable
from tap_zoho_bulk.tap import TapZohoBulk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_MESSAGE_CHARACTERS = 200
_SHAPES: dict[str, dict[str, Any]] = {
    "catalog": {
        "properties": {
            "streams": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["tap_stream_id", "schema"],
                    "properties": {
                        "tap_stream_id": {"type": "string"},
                        "schema": {
                            "type": "object",
                            "required": ["properties"],
                            "properties": {"properties": {"type": "object"}},
                        },
                        "metadata": {"type": "array"},
                    },
                },
            }
        }
    },
    "state": {
        "properties": {
            "bookmarks": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"partitions": {"type": "array", "items": {"type": "object"}}},
                },
            }
        }
    },
}
"""What the SDK requires of the files of these options, as JSON Schemas."""

logger = logging.getLogger(TapZohoBulk.name)


@contextmanager
def exiting_with_code() -> Iterator[None]:
    """End the process if the block fails, with one line that says why.

    Raises:
        SystemExit: With `ExitCode`, or with 128 plus the number of a signal that stopped it.
    """
    try:
        yield
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C, before the tap waits for signals.
        sys.exit(128 + signal.SIGINT)
    except StoppedError as stopped:
        # A target that is gone is an error, but not the tap's.
        level = logging.ERROR if isinstance(stopped, TargetGoneError) else logging.WARNING
        logger.log(level, str(stopped))
        sys.exit(stopped.exit_code)
    except TapZohoBulkError as error:
        logger.error(str(error))  # noqa: TRY400 - the traceback follows at debug level
        logger.debug("Traceback of the error:", exc_info=True)
        sys.exit(error.exit_code)


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Return the options of an SDK's command by name, with readable errors about files.

    Args:
        command: The SDK's.
    """
    options = {
        option.name: option
        for option in command.params
        if isinstance(option, click.Option) and option.name
    }
    options["config"].callback = _config
    options["catalog"].callback = options["state"].callback = _singer_file
    return options


def _config(context: click.Context, option: click.Parameter, paths: Sequence[str]) -> object:
    merged = TapZohoBulk.cb_config(context, cast("click.Option", option), ())
    for path in paths:
        try:
            read = TapZohoBulk.cb_config(context, cast("click.Option", option), (path,))
        except OSError as fault:  # It names the file.
            raise click.BadParameter(str(fault), context, option) from fault
        except (TypeError, ValueError) as fault:
            message = f"{path} is not a JSON object: {fault}"
            raise click.BadParameter(message, context, option) from fault
        merged.config |= read.config
        merged.parse_env |= read.parse_env
    return merged


def _singer_file(
    context: click.Context, option: click.Parameter, file: IO[str] | None
) -> IO[str] | None:
    if file is None:
        return None
    try:
        text = file.read()
        content = json.loads(text)
    except ValueError as fault:
        message = f"{file.name} is not a JSON object: {fault}"
        raise click.BadParameter(message, context, option) from fault
    if not isinstance(content, dict):
        message = f"{file.name} is not a JSON object."
        raise click.BadParameter(message, context, option)
    if content.get("type") == "STATE":  # The SDK would find no bookmark, and read everything again.
        message = f"{file.name} is a STATE message; pass the message's `value` instead."
        raise click.BadParameter(message, context, option)
    problem = best_match(Draft202012Validator(_SHAPES[option.name or ""]).iter_errors(content))
    if problem is not None:  # The SDK would end in a traceback.
        shown = printable(problem.message)[:_MAX_MESSAGE_CHARACTERS]
        message = f"{file.name} does not have its form, at {problem.json_path}: {shown}."
        raise click.BadParameter(message, context, option)
    return io.StringIO(text)
