"""The table: a plan for people, on a terminal or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tap_zoho_bulk.catalog.custom_views import NOT_EXPORTED
from tap_zoho_bulk.reporting.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

    from rich.console import RenderableType

    from tap_zoho_bulk.plan.streams import StreamPlan
    from tap_zoho_bulk.plan.sync_plan import SyncPlan

_FILE_COLUMNS = 120
_CLOCK_SECONDS = 2
"""Differences up to this may come from the measurement."""


def print_plan(plan: SyncPlan, file: TextIO) -> None:
    """Print a plan.

    Args:
        plan: The plan.
        file: A terminal, or anything else.
    """
    console = Console(file=file, width=None if file.isatty() else _FILE_COLUMNS)
    console.print(Group(*_parts(plan)), soft_wrap=False)


def _parts(plan: SyncPlan) -> Iterator[RenderableType]:
    account = plan.account
    about = (
        account.organisation,
        f"{account.edition} edition" if account.edition else "unknown edition",
        f"{account.users} users" if account.users is not None else None,
        account.time_zone,
    )
    yield _text(", ".join(filter(None, about)), "bold")
    yield _text(
        f"No job was started; this plan cost {plan.credits_spent:,} API credits.", "bright_black"
    )
    yield ""
    yield _streams(plan)
    yield ""
    yield _facts(plan)
    obstacles = [_text(obstacle.text) for obstacle in plan.obstacles()]
    if obstacles:
        yield from _section("In the way", obstacles, "bold red")
    else:
        yield from ("", _text("Nothing is in the way of this sync.", "bold green"))


def _streams(plan: SyncPlan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", show_footer=True)
    table.footer_style = "bold"
    jobs = sum(stream.jobs for stream in plan.streams)
    records = sum(stream.records or 0 for stream in plan.streams)
    table.add_column("stream", "all", no_wrap=True, overflow="ellipsis")
    table.add_column("reads")
    table.add_column("records", f"{records:,}", justify="right", no_wrap=True)
    table.add_column("jobs", f"{jobs:,}", justify="right", no_wrap=True)
    table.add_column("credits", _range(plan), justify="right", no_wrap=True)
    table.add_column("notes")
    for stream in plan.streams:
        table.add_row(
            _text(stream.name),
            _text(stream.reads),
            _records(stream),
            f"{stream.jobs:,}",
            _range(stream),
            _notes(stream),
        )
    return table


def _notes(stream: StreamPlan) -> Text:
    if stream.error is not None:
        return _text("would fail", "red")
    left_out = len(stream.left_out)
    notes = [f"{left_out} field{'s' * (left_out > 1)} left out"] if left_out else []
    return _text(", ".join([*stream.notes, *notes]))


def _records(stream: StreamPlan) -> str:
    if stream.records is None:
        return "?" if stream.downloads else ""
    return f"{'≤ ' if stream.at_most else ''}{stream.records:,}"


def _range(cost: StreamPlan | SyncPlan) -> str:
    most = f" to {cost.reserved:,}" if cost.reserved > cost.credits else ""
    return f"{cost.credits:,}{most}"


def _facts(plan: SyncPlan) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bright_black", no_wrap=True)
    table.add_column()
    for name, texts in _fact_texts(plan):
        lines = [_text(text) for text in texts]
        if lines:
            table.add_row(name, Group(*lines))
    return table


def _fact_texts(plan: SyncPlan) -> Iterator[tuple[str, Iterable[str]]]:
    account, settings = plan.account, plan.settings
    limit = settings.api_credit_limit
    yield (
        "API credits",
        filter(
            None,
            (
                f"{_range(plan)} needed; {_left(plan)}",
                f"`api_credit_limit` ends the run after {limit:,}; later runs continue"
                if limit is not None and limit < plan.reserved
                else "",
            ),
        ),
    )
    yield (
        "downloads",
        [
            (
                f"{plan.downloads:,} or more, {settings.downloads_per_minute} a minute: "
                f"at least {plan.minutes:,} min"
            )
        ],
    )
    yield "disk", [f"about {decimal(plan.disk_needed)} needed, {decimal(plan.disk_free)} free"]
    allowed = account.concurrent_requests
    requests = f"{settings.max_concurrent_requests} at once (`max_concurrent_requests`)"
    if allowed is not None:
        above = settings.max_concurrent_requests > allowed
        requests += f", the edition allows {allowed}" + (": lower the setting" if above else "")
    yield "requests", [requests]
    if plan.clock_ahead is not None:
        ahead = plan.clock_ahead
        yield (
            "clock",
            [
                "Zoho's and this machine's agree"
                if abs(ahead) <= _CLOCK_SECONDS
                else f"Zoho's is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this "
                "machine's; the tap goes by Zoho's"
            ],
        )
    yield "scopes missing", [f"{scope.name}: {scope.purpose}" for scope in account.missing_scopes]
    yield "modules left out", _listed(plan.skipped)
    yield "fields left out", _fields_left_out(plan)
    yield "views left out", [f"{', '.join(NOT_EXPORTED)}: Zoho's bulk read does not support them"]
    if plan.drift is not None:
        yield "since the catalog", [*plan.drift.parts()] or ["nothing has changed"]
    yield "warnings", plan.warnings


def _left(plan: SyncPlan) -> str:
    daily = plan.account.daily_credits
    if plan.credits_left is not None:
        return f"{plan.credits_left:,} left" + (f" of {daily:,} a day" if daily else "")
    # Zoho reports the rest only when half is used.
    return f"more than half of {daily:,} a day left" if daily else "more than half of a day's left"


def _listed(reasons: Mapping[str, str]) -> list[str]:
    """Return one line for each reason, with what it applies to."""
    names: dict[str, list[str]] = {}
    for name, why in reasons.items():
        names.setdefault(why, []).append(name)
    return [f"{', '.join(sorted(each))}: {why}" for why, each in sorted(names.items())]


def _fields_left_out(plan: SyncPlan) -> list[str]:
    """Return one line for each stream."""
    return [
        f"{stream.name}: "
        + ", ".join(f"{name} ({why})" for name, why in sorted(stream.left_out.items()))
        for stream in plan.streams
        if stream.left_out
    ]


def _section(title: str, lines: Iterable[RenderableType], style: str) -> Iterator[RenderableType]:
    yield ""
    yield _text(title, style)
    for line in lines:
        yield Padding(line, (0, 0, 0, 2))


def _text(text: str, style: str = "") -> Text:
    """Return literal text, which Rich searches for no markup."""
    return Text(printable(text), style=style)
