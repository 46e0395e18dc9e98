"""The tap's command line: the SDK's, with errors for people and exit codes for programs."""

from __future__ import annotations

import gc
import logging
import sys
from typing import TYPE_CHECKING

from tap_zoho_bulk.command_line import exiting_with_code, options_of
from tap_zoho_bulk.emit.record_lines import to_target
from tap_zoho_bulk.reporting.printable import PrintableRecord
from tap_zoho_bulk.tap import TapZohoBulk

if TYPE_CHECKING:
    import click

_TEST_HELP = (
    "Sign in, name the organisation and count the modules that can be read, without a job. "
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
    with exiting_with_code():
        try:
            sys.exit(_command().main(standalone_mode=False))
        finally:
            with to_target():
                sys.stdout.flush()


def _command() -> click.Command:
    """Return the SDK's command with readable file errors and our help text for `--test`."""
    command: click.Command = TapZohoBulk.cli
    options_of(command)["test"].help = _TEST_HELP
    return command


if __name__ == "__main__":
    main()
