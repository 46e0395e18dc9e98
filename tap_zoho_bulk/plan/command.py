"""The command line of `tap-zoho-bulk-plan`.

Invariant: stdout carries the plan and nothing else.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click
from typing_extensions import override

from tap_zoho_bulk.command_line import exiting_with_code, options_of
from tap_zoho_bulk.plan.probe import Probe, choose_target
from tap_zoho_bulk.plan.sync_plan import make_plan
from tap_zoho_bulk.reporting.events import event_of
from tap_zoho_bulk.reporting.printable import PrintableRecord, printable, printable_values
from tap_zoho_bulk.tap import TapZohoBulk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.plugin_base import _ConfigInput

    from tap_zoho_bulk.plan.probe import Target

_HELP = """Show what a sync would do and cost, without starting a job.

It takes the same files as tap-zoho-bulk. It ends with 0 if nothing is in the way of the sync, with
75 if the sync should run later, and with 78 if something must be fixed first.
"""


def main() -> None:
    """Run the command.

    Raises:
        SystemExit: With the plan's exit code, or as the tap ends if no plan can be made.
    """
    logging.setLogRecordFactory(PrintableRecord)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    with exiting_with_code():
        sys.exit(_command().main(standalone_mode=False))


def _command() -> click.Command:
    """Return the command, with the tap's own options for files."""
    files = options_of(TapZohoBulk.get_singer_command())
    command = click.Command(
        "tap-zoho-bulk-plan",
        callback=_plan,
        help=_HELP,
        params=[
            *(files[name] for name in ("config", "catalog", "state")),
            click.Option(
                ["--format", "output_format"],
                type=click.Choice(["table", "json"]),
                default="table",
                show_default=True,
                help="Print a table for people, or JSON for programs.",
            ),
            click.Option(
                ["--probe"],
                is_flag=False,
                flag_value="csv",
                type=click.Choice(["csv", "ics"]),
                metavar="[csv|ics]",
                help="Start one small job, which costs about 52 API credits, and report in which "
                "forms Zoho exports what. The report holds no data: add it to a bug report.",
            ),
            click.Option(["--yes"], is_flag=True, help="Do not ask before the job of --probe."),
        ],
    )
    return click.version_option(package_name=TapZohoBulk.name)(command)


def _plan(  # noqa: PLR0913 - these are the options
    *,
    config: _ConfigInput,
    catalog: IO[str] | None,
    state: IO[str] | None,
    output_format: str,
    probe: str | None,
    yes: bool,
) -> int:
    """Print the plan, or what a probe found, and return the exit code."""
    tap = TapZohoBulk(
        config=config.config,
        catalog=None if catalog is None else json.load(catalog),
        state=None if state is None else json.load(state),
        parse_env_config=config.parse_env,
    )
    warnings: list[str] = []
    try:
        if probe is not None:
            _require_answer(yes=yes)
            _probe(tap, probe, output_format, yes=yes)
            return 0
        with tap.naming_the_signal(), _listening(warnings):
            plan = make_plan(tap, warnings)
    finally:
        tap.run.close()
    if output_format == "json":
        click.echo(json.dumps(printable_values(plan.to_json()), indent=2))
    else:
        from tap_zoho_bulk.plan.table import print_plan  # noqa: PLC0415 - JSON needs no table

        print_plan(plan, sys.stdout)
    return plan.exit_code


def _probe(tap: TapZohoBulk, file_type: str, output_format: str, *, yes: bool) -> None:
    """Choose what to probe, ask, and print what was found."""
    with tap.naming_the_signal(), _listening([]):
        target = choose_target(tap, file_type)
    if not (yes or _is_confirmed(target)):
        spent = tap.run.client.credits.spending.credits
        click.echo(f"No job was started. To choose one cost {spent} API credits.", err=True)
        return
    with tap.naming_the_signal(), _listening([]):
        found = Probe(tap, target).run()
    _print_probe(found, output_format)


def _require_answer(*, yes: bool) -> None:
    """Raise if nothing can be asked, before anything is spent."""
    if not (yes or sys.stdin.isatty()):
        raise click.UsageError(
            "--probe asks before it starts a job, which costs about 52 API credits, but there is "
            "no terminal to ask on. Use --yes."
        )


def _is_confirmed(target: Target) -> bool:
    """Ask before a job that costs API credits."""
    records = "all" if target.records is None else f"{target.records:,}"
    question = (
        f"Start one bulk read job for {records} records of {printable(target.module)}, at about 52 "
        "API credits?"
    )
    # The tap's own handler would let a request end first, and here none is under way.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return click.confirm(question, err=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _print_probe(found: dict[str, str], output_format: str) -> None:
    if output_format == "json":
        click.echo(json.dumps(printable_values(found), indent=2))
    else:
        click.echo("\n".join(f"- {name}: {printable(text)}" for name, text in found.items()))


class _Listener(logging.Handler):
    """Adds warnings to a list; the plan lists modules that are left out by itself."""

    def __init__(self, warnings: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._warnings = warnings

    @override
    def emit(self, record: logging.LogRecord) -> None:
        text, about = record.getMessage(), event_of(record) or {}
        if text not in self._warnings and about.get("kind") != "module_skipped":
            self._warnings.append(text)


@contextmanager
def _listening(warnings: list[str]) -> Iterator[None]:
    """Add what the tap warns of to a list, in place of the log."""
    log, listener = logging.getLogger(TapZohoBulk.name), _Listener(warnings)
    log.addHandler(listener)
    log.propagate, before = False, log.propagate
    try:
        yield
    finally:
        log.propagate = before
        log.removeHandler(listener)
