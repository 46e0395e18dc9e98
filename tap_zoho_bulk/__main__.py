"""The command line: the SDK's, with errors for people and exit codes for programs."""

from __future__ import annotations

import gc
import io
import json
import logging
import signal
import sys
from typing import IO, TYPE_CHECKING, cast

import click

from tap_zoho_bulk.emit.record_lines import to_target
from tap_zoho_bulk.exceptions import StoppedError, TapZohoBulkError, TargetGoneError
from tap_zoho_bulk.reporting.printable import PrintableRecord, printable
from tap_zoho_bulk.tap import TapZohoBulk

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(TapZohoBulk.name)

_TEST_HELP = (
    "Sign in, name the organisation and count the modules, without a job. "
    "--test=schema prints the streams' schemas instead."
)


def main() -> None:
    """Run the tap.

    Raises:
        SystemExit: With 0 if the run succeeded, `ExitCode` if something failed, and 128 plus the
            signal's number if a signal stopped the tap.
    """
    logging.setLogRecordFactory(PrintableRecord)
    # Records are created by the thousand and hold no cycles. With the default threshold, the search
    # for cycles takes a third of a sync's time.
    gc.freeze()
    gc.set_threshold(100_000)
    try:
        try:
            sys.exit(_command().main(standalone_mode=False))
        finally:
            with to_target():
                sys.stdout.flush()
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


def _command() -> click.Command:
    """Return the SDK's command with readable file errors and our help text for `--test`."""
    command: click.Command = TapZohoBulk.cli
    options = {option.name: option for option in command.params if isinstance(option, click.Option)}
    options["test"].help = _TEST_HELP
    options["config"].callback = _config
    options["catalog"].callback = options["state"].callback = _singer_file
    return command


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
    return io.StringIO(text)


if __name__ == "__main__":
    main()
