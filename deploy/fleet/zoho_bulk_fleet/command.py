"""The command line: sync one organisation, or make the page over all."""

from __future__ import annotations

import json
import logging
import signal
import sys
from datetime import datetime, timedelta, timezone
from typing import IO

import click

from zoho_bulk_fleet.figures import latest_figures
from zoho_bulk_fleet.fleet import Fleet
from zoho_bulk_fleet.organisation import Organisation
from zoho_bulk_fleet.outcome import Outcome
from zoho_bulk_fleet.page import LATE_AFTER, fleet_page
from zoho_bulk_fleet.run import run
from zoho_bulk_fleet.storage import Folder, StorageError

_PAGE = "fleet.html"
_HOUR = timedelta(hours=1)
_MAX_HOURS = 10_000
_STORAGE = click.option(
    "--storage",
    required=True,
    envvar="ZOHO_BULK_FLEET_STORAGE",
    help="The fleet's folder in object storage, such as s3://bucket/fleet.",
)


@click.group()
def main() -> None:
    """Sync Zoho organisations, and see how they are."""


@main.command("run")
@_STORAGE
@click.option("--tap", default="tap-zoho-bulk", show_default=True, help="The tap's command.")
@click.option(
    "--lease-seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="After how long another run may start if this one is gone.",
)
@click.option(
    "--timeout-seconds",
    type=click.FloatRange(min=1),
    default=6 * 3600.0,
    show_default=True,
    help="After how long the run is stopped. The next one continues.",
)
@click.argument("organisation", type=click.File("rb"))
def run_command(
    organisation: IO[bytes], storage: str, tap: str, lease_seconds: float, timeout_seconds: float
) -> None:
    """Sync the ORGANISATION that a file of JSON describes; - reads it from stdin.

    Prints the run's figures. The exit code is the tap's: 0 if all is synced or the limit of API
    credits is reached, 3 if some streams failed, 75 if a later run may succeed, 78 if a person must
    fix something first.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # So that a stop is graceful, as it is with Ctrl-C
    signal.signal(signal.SIGTERM, _exit)
    fleet = Fleet(storage, tap=(tap,), lease_seconds=lease_seconds, timeout_seconds=timeout_seconds)
    try:
        result = run(Organisation.from_json(json.load(organisation)), fleet)
    except ValueError as error:
        # A JSON error names a place, and no value.
        click.echo(f"Error: {error}", err=True)
        sys.exit(Outcome.FIX_FIRST.exit_code)
    click.echo(json.dumps(result.figures))
    if result.message:
        click.echo(f"{result.outcome.value}: {result.message}", err=True)
    sys.exit(result.outcome.exit_code)


@main.command("page")
@_STORAGE
@click.option(
    "-o",
    "--output",
    type=click.File("wb"),
    help=f"The file to write, - for stdout.  [default: {_PAGE} in storage]",
)
@click.option(
    "--late-after",
    type=click.FloatRange(0, _MAX_HOURS),
    default=LATE_AFTER / _HOUR,
    show_default=True,
    metavar="HOURS",
    help="How long ago a run that was ok may have begun until its organisation is late.",
)
def page_command(storage: str, output: IO[bytes] | None, late_after: float) -> None:
    """Make the page over all organisations, from the figures of their newest runs."""
    try:
        fleet = Folder(storage, None)
        now = datetime.now(timezone.utc)
        page = fleet_page(latest_figures(fleet), now=now, late_after=late_after * _HOUR).encode()
        if output is None:
            fleet.write(_PAGE, page, "text/html; charset=utf-8")
        else:
            output.write(page)
            output.flush()
    except (ValueError, StorageError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _exit(signum: int, _: object) -> None:
    sys.exit(128 + signum)
