"""The command line: the SDK's, with errors for people and exit codes for programs."""

from __future__ import annotations

import gc
import logging
import os
import sys

from singer_sdk.exceptions import ConfigValidationError

from tap_zoho_bulk.exceptions import StoppedError, TapZohoBulkError, TargetGoneError
from tap_zoho_bulk.tap import TapZohoBulk

logger = logging.getLogger(TapZohoBulk.name)


def main() -> None:
    """Run the tap.

    Raises:
        SystemExit: With 0 when all went well, 1 when something failed, and 128 and the signal's
            number when the tap was told to stop.
    """
    # Records come and go by the thousand and hold no cycles: looking for some costs a third of a
    # sync's time with Python's usual threshold.
    gc.freeze()
    gc.set_threshold(100_000)
    try:
        TapZohoBulk.cli()
    except ConfigValidationError as invalid:  # The SDK tells of it, but not in `--test`.
        for problem in invalid.errors:
            logger.error("Config validation error: %s", problem)  # noqa: TRY400
        sys.exit(1)
    except TargetGoneError as gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes at its end.
        logger.error(str(gone))  # noqa: TRY400 - it is no fault of the tap's
        sys.exit(1)
    except StoppedError as stopped:
        logger.warning(str(stopped))
        sys.exit(1 if TapZohoBulk.stopped_by is None else 128 + TapZohoBulk.stopped_by)
    except TapZohoBulkError as error:
        logger.error(str(error))  # noqa: TRY400 - the message is for people; see below for more
        logger.debug("Where it came from:", exc_info=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
