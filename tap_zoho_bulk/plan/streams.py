"""The streams: what a sync would read of each, how many jobs that takes, and what it costs.

The queries, the bookmarks and the page to resume from are the streams' own. Zoho's counts say how
many pages they have.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from singer_sdk.singerlib.catalog import Metadata

from tap_zoho_bulk.api.credits import FOLLOWING_CREDITS, JOB_CREDITS
from tap_zoho_bulk.bulk_read.refusals import REFUSAL_LIFE
from tap_zoho_bulk.catalog.probes import count_records
from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.exceptions import ExitCode, SignInError, TapZohoBulkError
from tap_zoho_bulk.streams.base import ZohoStream
from tap_zoho_bulk.streams.bulk_read import BulkReadStream
from tap_zoho_bulk.streams.bulk_write_results import BulkWriteResultsStream
from tap_zoho_bulk.streams.metadata import MetadataStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_bulk.bulk_read.feeds import Feed
    from tap_zoho_bulk.bulk_read.query import BulkReadQuery
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


def plan_streams(tap: TapZohoBulk, *, counts: bool, gone: Mapping[str, str]) -> list[StreamPlan]:
    """Return what a sync would do with each selected stream, requesting several counts at once.

    Args:
        tap: The tap.
        counts: Whether Zoho's counts may be requested.
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
        list(pool.map(lambda each: _estimate(*each, counts=counts), feeds))
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
        feed = stream.open_feed()
    except SignInError:
        raise
    except Exception as error:  # noqa: BLE001 - it fails this stream only, as in a sync
        plan.reads = "nothing"
        plan.error = str(error).removeprefix(f"{stream.name}: ")
        plan.exit_code = error.exit_code if isinstance(error, TapZohoBulkError) else ExitCode.FAILED
        return plan, None
    return plan, feed


def _estimate(stream: BulkReadStream, plan: StreamPlan, feed: Feed, *, counts: bool) -> None:
    """Complete the plan of a stream by bulk read, with one request or two."""
    query, position = feed.plan.query, feed.progress.position
    plan.fields = len(query.fields)
    plan.reads = "all records" if query.since is None else f"changes since {query.since:%F %T%:z}"
    plan.left_out = _left_out(stream, query, position.rejected)
    created = len(feed.progress.jobs)
    if position.page > 1 or created:
        plan.notes.append(f"resumes at page {position.page}")
    else:
        is_unchanged = stream.unchanged_probe(query)
        if is_unchanged is not None:
            plan.credits += 1
            plan.reserved += 1
            if is_unchanged():
                plan.records = 0
                plan.notes.append("has not changed, so no job is created")
                return
    if counts:
        plan.records = _count(stream, query)
        plan.at_most = query.criteria is not None and plan.records is not None
    pages = -(-(plan.records or 1) // stream.max_page_records)
    plan.downloads = max(pages - position.page + 1, 1)
    plan.jobs = max(plan.downloads - created, 0)
    if stream.name in stream.run.settings.reconcile_ids:
        plan.notes.append("reconciles ids, by one more job or more")
        plan.jobs += 1
        plan.downloads += 1
    plan.credits += plan.jobs * JOB_CREDITS + plan.downloads * _LEAST_FOLLOWING_CREDITS
    plan.reserved += plan.jobs * JOB_CREDITS + plan.downloads * FOLLOWING_CREDITS
    if query.criteria is not None:
        plan.notes.append("with criteria")
    if query.custom_view_id is not None:
        plan.notes.append("of a custom view")


def _count(stream: BulkReadStream, query: BulkReadQuery) -> int | None:
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
