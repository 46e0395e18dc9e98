"""The streams: what a sync would read of each, how many jobs that takes, and what it costs.

The queries, the bookmarks and the page to resume from are the streams' own. Zoho's counts say how
many pages they have.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import Metadata

from tap_zoho_bulk.api.credits import FOLLOWING_CREDITS, JOB_CREDITS
from tap_zoho_bulk.bulk_read.refusals import REFUSAL_LIFE
from tap_zoho_bulk.catalog.custom_views import notes_on_view
from tap_zoho_bulk.catalog.probes import count_records
from tap_zoho_bulk.crm.criteria import fields_of
from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.exceptions import ExitCode, SignInError, TapZohoBulkError
from tap_zoho_bulk.streams.base import ZohoStream
from tap_zoho_bulk.streams.bulk_read import BulkReadStream
from tap_zoho_bulk.streams.bulk_write_results import BulkWriteResultsStream
from tap_zoho_bulk.streams.deletes import DeletesStream
from tap_zoho_bulk.streams.metadata import MetadataStream
from tap_zoho_bulk.streams.module import ModuleStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_bulk.bulk_read.feeds import Feed
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery
    from tap_zoho_bulk.plan.account import Account
    from tap_zoho_bulk.tap import TapZohoBulk

_LEAST_FOLLOWING_CREDITS = 2
"""One status check and the download."""


@dataclass
class StreamPlan:
    """What a sync would do with one stream.

    Args:
        name: Of the stream.
        reads: What is read, in words.
        fields: Fields that are requested; None if the stream is not read in bulk.
        records: Records by Zoho's count; None if unknown.
        at_most: Whether there may be fewer records, as Zoho counts without the criteria.
        jobs: Bulk read jobs to create; one or more if the records are unknown.
        downloads: Results to download.
        credits: API credits that this costs at least.
        reserved: API credits that the tap reserves for it.
        scope: The OAuth scope that this stream needs, beside those of every sync.
        left_out: Fields that are left out, with the type that bulk read cannot export, or another
            reason.
        notes: What else is to be known.
        error: Why the stream would fail at once, if it would.
        exit_code: How such a failure ends the run.
    """

    name: str
    reads: str
    fields: int | None = None
    records: int | None = None
    at_most: bool = False
    jobs: int = 0
    downloads: int = 0
    credits: int = 0
    reserved: int = 0
    scope: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    exit_code: int = 0


def plan_streams(
    tap: TapZohoBulk, *, account: Account, gone: Mapping[str, str]
) -> list[StreamPlan]:
    """Return what a sync would do with each selected stream, requesting several counts at once.

    Args:
        tap: The tap.
        account: The account.
        gone: Modules that can no longer be read, and why.

    Raises:
        SignInError: When Zoho issues no access token.
        StoppedError: When the run is shutting down.
    """
    selected = [
        stream
        for stream in tap.streams.values()
        if stream.selected and isinstance(stream, ZohoStream)
    ]
    planned = [
        _plan_stream(stream) if stream.name not in gone else (_gone(stream, gone), None)
        for stream in selected
    ]
    feeds = [
        (stream, plan, feed)
        for stream, (plan, feed) in zip(selected, planned, strict=True)
        if feed is not None and isinstance(stream, BulkReadStream)
    ]
    with ThreadPoolExecutor(
        tap.run.settings.max_concurrent_requests, thread_name_prefix="plan"
    ) as pool:
        list(pool.map(lambda each: _estimate(*each, account=account), feeds))
    return [plan for plan, _ in planned]


def _gone(stream: ZohoStream, gone: Mapping[str, str]) -> StreamPlan:
    return StreamPlan(
        stream.name,
        "nothing",
        error=(
            f"It is selected in the catalog, but can no longer be read: {gone[stream.name]}. "
            "Deselect it, or discover the catalog again."
        ),
        exit_code=ExitCode.FIX_FIRST,
    )


def _plan_stream(stream: ZohoStream) -> tuple[StreamPlan, Feed | None]:
    """Return the plan so far, and the stream's feed if it is read in bulk and is not empty."""
    plan = StreamPlan(stream.name, "a list")
    try:
        if stream.is_removed:
            plan.reads = "nothing: stream maps remove all of its records"
            return plan, None
        plan.credits = plan.reserved = stream.least_credits
        if isinstance(stream, MetadataStream):
            plan.scope = stream.scope
        if isinstance(stream, BulkWriteResultsStream):
            plan.downloads = len(stream.run.settings.bulk_write_job_ids)
        if not isinstance(stream, BulkReadStream):
            return plan, None
        if isinstance(stream, ModuleStream):
            plan.notes += notes_on_view(stream.run.client, stream.run.settings, stream.name)
        feed = stream.open_feed()
    except SignInError:
        raise
    except Exception as error:  # noqa: BLE001 - it fails this stream only, as in a sync
        plan.reads = "nothing"
        plan.error = str(error).removeprefix(f"{stream.name}: ")
        plan.exit_code = error.exit_code if isinstance(error, TapZohoBulkError) else ExitCode.FAILED
        return plan, None
    return plan, feed


def _estimate(stream: BulkReadStream, plan: StreamPlan, feed: Feed, *, account: Account) -> None:
    """Complete the plan of a stream by bulk read, with a few requests."""
    query, position = feed.plan.query, feed.progress.position
    plan.fields = len(query.fields)
    if query.since is None:
        plan.reads = "all records"
    else:
        plan.reads = f"changes since {query.since.isoformat(sep=' ', timespec='seconds')}"
    plan.left_out = _left_out(stream, query, position.rejected)
    created = len(feed.progress.jobs)
    is_resumed = position.page > 1 or created
    if is_resumed:
        plan.notes.append(f"resumes at page {position.page}")
    if not is_resumed and _is_unchanged(stream, plan, query):
        plan.records = 0
        plan.notes.append("has not changed, so no job is created")
    else:
        plan.records = _count(stream, query, account)
        plan.at_most = query.criteria is not None and plan.records is not None
        pages = _pages(plan.records, stream.max_page_records)
        plan.downloads = max(pages - position.page + 1, 1)
        plan.jobs = max(plan.downloads - created, 0)
    if isinstance(stream, DeletesStream) and stream.reconciles:
        everything = replace(query, since=None, custom_view_id=None)
        ids = plan.records if everything == query else _count(stream, everything, account)
        pages = _pages(ids, stream.max_page_records)
        plan.notes.append(f"reconciles {'all' if ids is None else f'{ids:,}'} ids")
        plan.jobs += pages
        plan.downloads += pages
    plan.credits += plan.jobs * JOB_CREDITS + plan.downloads * _LEAST_FOLLOWING_CREDITS
    plan.reserved += plan.jobs * JOB_CREDITS + plan.downloads * FOLLOWING_CREDITS
    if query.criteria is not None:
        plan.notes.append(_about_criteria(stream, query.criteria, account))
    if query.custom_view_id is not None:
        plan.notes.append("of a custom view")


def _is_unchanged(stream: BulkReadStream, plan: StreamPlan, query: BulkReadQuery) -> bool:
    """Ask what the sync would ask, and add the cost of that to the plan."""
    is_unchanged = stream.unchanged_probe(query)
    if is_unchanged is None:
        return False
    plan.credits += 1
    plan.reserved += 1
    return is_unchanged()


def _pages(records: int | None, of_page: int) -> int:
    """Return how many jobs export records; one if there are none, or if it is unknown."""
    return max(-(-(records or 0) // of_page), 1)


def _about_criteria(stream: BulkReadStream, criteria: dict[str, Any], account: Account) -> str:
    properties = stream.schema["properties"]
    types = {zoho_type(properties.get(name, {})) for name in fields_of(criteria)}
    if "currency" not in types:
        return "with criteria"
    return f"with criteria, whose amounts are in {account.home_currency or 'the home currency'}"


def _count(stream: BulkReadStream, query: BulkReadQuery, account: Account) -> int | None:
    """Return how many records a query has, without its criteria; None if it is unknown."""
    if not (stream.is_counted and account.counts):
        return None
    key, since = query.replication_key, query.since
    return count_records(
        stream.run.client,
        stream.run.settings,
        query.module,
        query.custom_view_id,
        stream.spending,
        changed=(key, since) if key is not None and since is not None else None,
    )


def _left_out(
    stream: BulkReadStream, query: BulkReadQuery, rejected: tuple[str, ...]
) -> dict[str, str]:
    """Return the fields that a sync leaves out, and why."""
    properties = stream.schema["properties"]
    unsupported = (
        breadcrumb[-1]
        for breadcrumb, metadata in stream.metadata.items()
        if metadata.inclusion == Metadata.InclusionType.UNSUPPORTED
    )
    left_out = {name: zoho_type(properties[name]) or "unsupported" for name in unsupported}
    refused = f"refused by Zoho in the last {REFUSAL_LIFE.days} days"
    return left_out | {name: refused for name in query.fields if name in rejected}
