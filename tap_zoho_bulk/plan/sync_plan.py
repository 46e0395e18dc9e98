"""The plan of a sync: its streams, their cost against what is left, and what is in its way.

Invariant: no job is created, and nothing is written to Zoho.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.credits import CreditBudget
from tap_zoho_bulk.catalog.custom_views import NOT_EXPORTED
from tap_zoho_bulk.catalog.discovery import is_wanted
from tap_zoho_bulk.catalog.drift import compare
from tap_zoho_bulk.catalog.probes import modules_not_granted
from tap_zoho_bulk.crm.scopes import MODULES, grant_advice
from tap_zoho_bulk.exceptions import ExitCode, MissingScopeError
from tap_zoho_bulk.plan.account import read_account
from tap_zoho_bulk.plan.streams import plan_streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_zoho_bulk.catalog.drift import Drift
    from tap_zoho_bulk.plan.account import Account
    from tap_zoho_bulk.plan.streams import StreamPlan
    from tap_zoho_bulk.settings import Settings
    from tap_zoho_bulk.tap import TapZohoBulk

_DISCOVERY_SCOPES = frozenset({"ZohoCRM.settings.modules.READ", "ZohoCRM.settings.fields.READ"})

logger = logging.getLogger("tap-zoho-bulk.plan")

_RECORD_BYTES = 500
"""Of a record in a ZIP: 200,000 of them are about 100 MB."""


@dataclass(frozen=True)
class Obstacle:
    """What keeps a sync from being complete.

    Args:
        text: What it is, and what to do about it.
        exit_code: How the plan ends because of it.
    """

    text: str
    exit_code: int = ExitCode.FIX_FIRST


@dataclass(frozen=True)
class SyncPlan:
    """What a sync would do and cost.

    Args:
        version: Of the tap.
        at: When the plan was made, in UTC form.
        settings: The run's settings.
        account: The account.
        credits_left: API credits left of the last 24 hours' limit; None if Zoho did not say.
        clock_ahead: Seconds by which Zoho's clock is ahead of the local one; None if unknown.
        streams: The selected streams.
        problems: What settings and catalog name that is not there.
        skipped: Modules that are left out, and why.
        drift: What changed in Zoho since the catalog was made; None without a catalog.
        warnings: What the tap logged meanwhile.
        credits_spent: API credits that the plan itself cost.
        disk_free: Free bytes where pages wait.
    """

    version: str
    at: str
    settings: Settings
    account: Account
    credits_left: int | None
    clock_ahead: float | None
    streams: list[StreamPlan]
    problems: list[str]
    skipped: dict[str, str]
    drift: Drift | None
    warnings: list[str]
    credits_spent: int
    disk_free: int

    @property
    def credits(self) -> int:
        """API credits that the sync costs at least."""
        return sum(stream.credits for stream in self.streams)

    @property
    def reserved(self) -> int:
        """API credits that the tap reserves for the sync."""
        return sum(stream.reserved for stream in self.streams)

    @property
    def downloads(self) -> int:
        """Results that the sync downloads at least."""
        return sum(stream.downloads for stream in self.streams)

    @property
    def minutes(self) -> int:
        """Minutes that the sync takes at least, because of `downloads_per_minute`."""
        return max(self.downloads - 1, 0) // self.settings.downloads_per_minute

    @property
    def disk_needed(self) -> int:
        """Bytes of pages that may wait on disk at once, roughly."""
        of_pages = [
            (stream.records or 0) * _RECORD_BYTES for stream in self.streams if stream.downloads
        ]
        return min(sum(of_pages), self.settings.max_spool_bytes + max(of_pages, default=0))

    @property
    def exit_code(self) -> int:
        """How the command ends, for programs."""
        codes = {obstacle.exit_code for obstacle in self.obstacles()}
        return max(codes, default=0)

    def obstacles(self) -> Iterator[Obstacle]:
        """Yield what keeps a sync from being complete."""
        needed = self._scopes_needed()
        for scope in self.account.missing_scopes:
            if scope.required or scope.name in needed:
                yield Obstacle(
                    f"The token lacks the scope {scope.name}, which is needed for "
                    f"{scope.purpose}. {grant_advice(scope.name, soid=self.settings.soid)}"
                )
        for problem in self.problems:
            yield Obstacle(problem)
        for stream in self.streams:
            if stream.error is not None:
                yield Obstacle(f"{stream.name}: {stream.error}", stream.exit_code)
        if self.credits_left is not None and self.credits > self.credits_left:
            yield Obstacle(
                f"The sync costs at least {self.credits} API credits, but {self.credits_left} are "
                "left. They come back 24 hours after they were used. Run it later, or select "
                "fewer streams.",
                ExitCode.TRY_AGAIN_LATER,
            )
        elif self.account.daily_credits is not None and self.credits > self.account.daily_credits:
            yield Obstacle(
                f"The sync costs at least {self.credits} API credits, and the edition has "
                f"{self.account.daily_credits} a day. Set `api_credit_limit` to spread it over "
                "several days, or select fewer streams."
            )
        if self.disk_needed > self.disk_free:
            yield Obstacle(
                f"Pages need about {self.disk_needed} bytes on disk, and {self.disk_free} are "
                "free. Set `spool_directory`, or lower `max_spool_bytes`."
            )

    def _scopes_needed(self) -> set[str]:
        """Return the scopes that not every sync needs, but this one does."""
        views = any(options.custom_view for options in self.settings.module_options.values())
        return {scope for stream in self.streams if (scope := stream.scope) is not None} | (
            {"ZohoCRM.settings.custom_views.READ"} if views else set()
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan for programs."""
        account = asdict(self.account)
        account["missing_scopes"] = [
            {"name": scope.name, "purpose": scope.purpose} for scope in self.account.missing_scopes
        ]
        return {
            "version": self.version,
            "at": self.at,
            "exit_code": int(self.exit_code),
            "obstacles": [obstacle.text for obstacle in self.obstacles()],
            "account": account,
            "credits": {
                "least": self.credits,
                "reserved": self.reserved,
                "left": self.credits_left,
                "api_credit_limit": self.settings.api_credit_limit,
                "spent_by_plan": self.credits_spent,
            },
            "jobs": sum(stream.jobs for stream in self.streams),
            "downloads": self.downloads,
            "least_minutes": self.minutes,
            "disk": {"needed_bytes": self.disk_needed, "free_bytes": self.disk_free},
            "clock_ahead_seconds": self.clock_ahead,
            "streams": [asdict(stream) for stream in self.streams],
            "modules_left_out": self.skipped,
            "views_left_out": NOT_EXPORTED,
            "since_the_catalog": None if self.drift is None else asdict(self.drift),
            "warnings": self.warnings,
        }


def make_plan(tap: TapZohoBulk, warnings: list[str]) -> SyncPlan:
    """Find out what a sync would do and cost.

    Args:
        tap: The tap, with the config, catalog and state of the sync.
        warnings: To which a listener adds what the tap logs.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
        TapZohoBulkError: When modules or fields cannot be listed.
    """
    run, settings = tap.run, tap.run.settings
    client = run.client
    # The setting is for the sync, and the plan is to say whether it suffices.
    client.credits = CreditBudget(None, client.stop)
    account = read_account(client, settings)
    missing = {scope.name for scope in account.missing_scopes}
    drift, streams, problems = None, [], []
    try:
        drift = _drift(tap)
    except MissingScopeError as error:
        logger.warning("%s", error)
    if tap.input_catalog is not None or not missing & _DISCOVERY_SCOPES:
        gone = {
            name: tap.skipped.get(name, "Zoho no longer lists it")
            for name in (drift.gone_modules if drift else ())
        }
        account = _without_modules_scope(tap, account)
        streams = plan_streams(tap, account=account, gone=gone)
        problems = [*tap.selection_problems(), *tap.unmatched_options().values()]
    headers = client.account_headers
    return SyncPlan(
        version=tap.plugin_version,
        at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        settings=settings,
        account=account,
        credits_left=headers.credits_left,
        clock_ahead=None if headers.clock_ahead is None else round(headers.clock_ahead),
        streams=streams,
        problems=problems,
        skipped=tap.skipped,
        drift=drift,
        warnings=warnings,
        credits_spent=client.credits.spending.credits,
        disk_free=shutil.disk_usage(settings.spool_directory or tempfile.gettempdir()).free,
    )


def _without_modules_scope(tap: TapZohoBulk, account: Account) -> Account:
    """Return the account without the scope of all modules among the missing ones, if not needed.

    A scope for each of the selected modules suffices as well.
    """
    selected = tap.run.modules()
    if (
        MODULES not in account.missing_scopes
        or not selected
        or modules_not_granted(tap.run.client, tap.run.settings, selected)
    ):
        return account
    others = tuple(scope for scope in account.missing_scopes if scope != MODULES)
    return replace(account, missing_scopes=others)


def _drift(tap: TapZohoBulk) -> Drift | None:
    """Return what changed in Zoho since the catalog was made; None without a catalog."""
    if tap.input_catalog is None:
        return None
    settings, catalog = tap.run.settings, tap.module_properties()
    return compare(
        catalog, tap.discover_modules(lambda name: name in catalog or is_wanted(name, settings))
    )
