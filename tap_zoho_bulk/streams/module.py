"""The stream of a module: what to request from Zoho, and how a page's CSV becomes records."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL, Metadata
from typing_extensions import override

from tap_zoho_bulk.bulk_read.plan import ReadPlan
from tap_zoho_bulk.bulk_read.query import MAX_FIELDS, BulkReadQuery, is_named_only
from tap_zoho_bulk.bulk_read.refusals import (
    REFUSALS,
    refusals_from_state,
    refusals_to_state,
)
from tap_zoho_bulk.catalog.custom_views import custom_view_id
from tap_zoho_bulk.catalog.discovery import DELETED_AT
from tap_zoho_bulk.catalog.probes import count_records, is_unchanged
from tap_zoho_bulk.crm.criteria import MAX_CRITERIA, CriteriaProblem, count_criteria, type_problems
from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.crm.related_fields import path_of, property_name
from tap_zoho_bulk.crm.timestamps import parse_instant, utc_or_none
from tap_zoho_bulk.decode.csv_page import CsvDecoder
from tap_zoho_bulk.exceptions import CreditLimitReachedError, UnreadableStreamError
from tap_zoho_bulk.settings import ModuleOptions
from tap_zoho_bulk.streams.whole_reads import WholeReadsStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from singer_sdk import Tap
    from singer_sdk.singerlib import MetadataMapping

    from tap_zoho_bulk.bulk_read.page import Page
    from tap_zoho_bulk.bulk_read.position import Position
    from tap_zoho_bulk.bulk_read.progress import Progress
    from tap_zoho_bulk.catalog.discovery import DiscoveredModule
    from tap_zoho_bulk.decode.chunk import Chunk
    from tap_zoho_bulk.run import Run
    from tap_zoho_bulk.settings import Settings

READ = "read"
"""Key in state of the last complete read: which records it requested, when it began, and the
bookmark that it set."""

_NOT_REQUESTED = {"id", DELETED_AT}  # Properties that are not requested.
# Zoho reports changes in whole seconds, so one in the second of the last probe may be new.
_SAME_SECOND = timedelta(seconds=1)


class ModuleStream(WholeReadsStream):
    """Records of one module, by bulk read.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
        module: The module, as discovered or as the catalog has it.
    """

    def __init__(self, tap: Tap, run: Run, module: DiscoveredModule) -> None:
        super().__init__(tap, run, name=module.api_name, schema=module.schema)
        self.primary_keys = ["id"]
        self.replication_key = module.replication_key
        self._unsupported = module.unsupported
        self._offered = module.offered

    @property
    @override
    def metadata(self) -> MetadataMapping:
        metadata = super().metadata
        for name in self._unsupported:
            metadata["properties", name].inclusion = Metadata.InclusionType.UNSUPPORTED
        for name in self._offered:
            metadata["properties", name].selected_by_default = False
        return metadata

    # What to read

    @override
    def plan(self) -> ReadPlan:
        """Return the query for the selection, the bookmark and the module's options."""
        settings = self.run.settings
        options = settings.module_options.get(self.name, ModuleOptions())
        incremental = self.replication_method == REPLICATION_INCREMENTAL
        key = self.effective_schema["properties"].get(self.replication_key, {})
        selected = self.mask["properties", self.replication_key or ""]
        if incremental and (key.get("format") != "date-time" or not selected):
            raise UnreadableStreamError(
                f"{self.name}: `{self.replication_key}` is not a selected date-time of this "
                "module, so it cannot be the replication key. Choose `Modified_Time`, or "
                "FULL_TABLE replication."
            )
        columns = self._columns(settings)
        self._check_arrays(columns, settings)
        self._warn_of_missing(columns, options)
        since = self._since(settings) if incremental else None
        self._check_criteria(options.criteria, since)
        query = BulkReadQuery(
            module=self.name,
            fields=tuple(columns.values()),
            dispensable=self._dispensable(columns.values(), options),
            replication_key=self.replication_key if incremental else None,
            since=since,
            criteria=options.criteria,
            custom_view_id=custom_view_id(self.run.client, settings, self.name, self.spending),
            callback_url=settings.callback_url,
            api_version=settings.api_version,
        )
        return ReadPlan(self.refreshed(query) if incremental else query, columns)

    def _columns(self, settings: Settings) -> dict[str, str]:
        """Return the CSV column, which is the field to request, of each property except `id`."""
        options = settings.module_options.get(self.name, ModuleOptions())
        related = {property_name(path): path for path in options.related_fields}
        columns = {}
        for name in self.selected_properties():
            schema = self.effective_schema["properties"][name]
            if name not in _NOT_REQUESTED:
                # A catalog without Zoho's types does not show which fields are related either.
                path = related.get(name) if zoho_type(schema) is None else None
                columns[name] = path_of(schema) or path or name
        if len(columns) <= MAX_FIELDS:
            return columns
        dispensable = self._dispensable(columns.values(), options)
        named_only = {name for name, column in columns.items() if is_named_only(column)}
        if not dispensable.issuperset(map(columns.__getitem__, named_only)):
            raise UnreadableStreamError(
                f"{self.name}: {len(columns)} fields are selected. Above {MAX_FIELDS}, Zoho "
                "exports all of the module's own fields, and no others. Deselect "
                f"{_listed(named_only)}, or other fields."
            )
        return {name: column for name, column in columns.items() if name not in named_only}

    def _dispensable(self, columns: Iterable[str], options: ModuleOptions) -> frozenset[str]:
        """Return the fields that the user did not select by name: a `*` selected all fields."""
        unsupported = {
            breadcrumb[-1]
            for breadcrumb, metadata in self.metadata.items()
            if metadata.inclusion == Metadata.InclusionType.UNSUPPORTED
        }
        others = self.effective_schema["properties"].keys() - unsupported - _NOT_REQUESTED
        if others.issubset(self.selected_properties()):
            return frozenset(filter(is_named_only, columns)) - {*options.related_fields}
        return frozenset()

    def _warn_of_missing(self, columns: Mapping[str, str], options: ModuleOptions) -> None:
        """Raise if a related field is not in the catalog; warn of fields beyond Zoho's limit."""
        properties = self.effective_schema["properties"]
        for path in options.related_fields:
            if property_name(path) not in properties:
                raise UnreadableStreamError(
                    f"{self.name}: the related field `{path}` is not in the catalog. Discover the "
                    "catalog again, or remove the field from `related_fields`."
                )
        left_out = [
            name
            for name in self.selected_properties()
            if name not in columns and name not in _NOT_REQUESTED
        ]
        if left_out:
            self.logger.warning(
                "%d fields are selected. Above %d, Zoho exports all of the module's own fields, "
                "and no others; continuing without %s.",
                len(columns) + len(left_out),
                MAX_FIELDS,
                _listed(left_out),
            )

    def _check_arrays(self, columns: Iterable[str], settings: Settings) -> None:
        """Raise if the catalog has arrays but no separator is set."""
        for name in columns:
            types = self.effective_schema["properties"][name].get("type", ())
            if "array" in types and settings.multiselect_separator is None:
                raise UnreadableStreamError(
                    f"{self.name}: `{name}` is an array in the catalog. Set "
                    "`multiselect_separator`, or discover the catalog again."
                )

    def _check_criteria(self, criteria: dict[str, Any] | None, since: datetime | None) -> None:
        """Raise before a job is created if Zoho would refuse the criteria."""
        if criteria is None:
            return
        properties = self.effective_schema["properties"]
        problems = list(type_problems(criteria, properties))
        if since is not None and count_criteria(criteria) >= MAX_CRITERIA:
            problems.append(
                CriteriaProblem(
                    f"with the bookmark's own, they exceed Zoho's limit of {MAX_CRITERIA}"
                )
            )
        if problems:
            listed = "; ".join(problem.at(self.name) for problem in problems)
            raise UnreadableStreamError(f"{self.name}: Zoho would refuse the criteria: {listed}.")

    def _since(self, settings: Settings) -> datetime | None:
        """Return the first instant to read: some time before the bookmark, or `start_date`."""
        bookmark = self.bookmark(self.stream_state)
        if bookmark is None:
            return settings.start_date
        since = parse_instant(bookmark) - timedelta(seconds=settings.lookback_seconds)
        return since if settings.start_date is None else max(since, settings.start_date)

    # What Zoho refused

    @override
    def refused_fields(self, query: BulkReadQuery) -> tuple[str, ...]:
        return tuple(self._refused(query))

    def _refused(self, query: BulkReadQuery) -> dict[str, str]:
        """Return the fields that Zoho refused lately, and when."""
        kept = self.stream_state.get(REFUSALS)
        refused = refusals_from_state(kept, self._fields_requested(query))
        # Of a STATE that was edited, the replication key is requested all the same.
        refused.pop(query.replication_key or "", None)
        return {name: refused[name] for name in query.fields if name in refused}

    def _remember_refused(self, query: BulkReadQuery, last: Position) -> None:
        before = self._refused(query)
        self.stream_state.pop(REFUSALS, None)
        if last.rejected:
            self.stream_state[REFUSALS] = refusals_to_state(
                {name: before.get(name, last.started) for name in last.rejected},
                self._fields_requested(query),
            )

    def _fields_requested(self, query: BulkReadQuery) -> str:
        """Return a fingerprint of the fields that a query requests, and of their schema."""
        properties = self.effective_schema["properties"]
        schema = {name: properties[name] for name in self.selected_properties()}
        request = [replace(query, since=None).fingerprint, schema]
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]

    # Before and after

    @override
    def unchanged_probe(self, query: BulkReadQuery) -> Callable[[], bool] | None:
        settings = self.run.settings
        bookmark, read = self.bookmark(self.stream_state), self.stream_state.get(READ)
        if (
            not settings.skip_unchanged
            or bookmark is None
            or query.since != self._since(settings)  # All records are due.
            or (self.reads_from_start(query) and self.why_due(query))  # The same.
            or not isinstance(read, dict)
            or read.get("to") != bookmark  # The user moved the bookmark.
            or read.get("query")
            != _records_requested(query)  # It requests other records than before.
        ):
            return None
        began = utc_or_none(read.get("at"))
        if began is None:
            return None
        since = parse_instant(began).replace(microsecond=0)
        since -= timedelta(seconds=settings.lookback_seconds) + _SAME_SECOND
        return partial(is_unchanged, self.run.client, settings, self.name, since, self.spending)

    @override
    def completed(self, query: BulkReadQuery, progress: Progress) -> None:
        settings, started = self.run.settings, progress.position.started
        self._remember_refused(query, progress.position)
        if query.replication_key is not None:
            state = self.stream_state
            if settings.skip_unchanged:
                state[READ] = {
                    "at": started,
                    "to": self.bookmark(state),
                    "query": _records_requested(query),
                }
            if self.reads_from_start(query):
                self.read_from_start(progress)
        is_all = query.since is None and query.criteria is None
        if settings.verify_counts and is_all and self.is_counted:
            self.write_state()  # Emit this before waiting for a request.
            self._verify_count(query, progress.count)

    def _verify_count(self, query: BulkReadQuery, count: int | None) -> None:
        """Compare the number of records with Zoho's own count."""
        run, summary = self.run, self.summary
        if count is None:
            self.logger.warning(
                "An earlier version of the tap began this sync, so its count is not verified."
            )
            return
        try:
            counted = count_records(
                run.client, run.settings, self.name, query.custom_view_id, summary.spending
            )
        except CreditLimitReachedError as error:
            self.logger.warning("The records were not counted. %s", error)
            return
        if counted is None:
            return
        summary.gap = counted - count
        if summary.gap:
            self.logger.warning(
                "Zoho counts %d records, but bulk read returned %d. Zoho's counts lag by up to "
                "ten minutes, so changes shortly before and during the sync explain a small "
                "difference; if it persists, bulk read omits records.",
                counted,
                count,
            )

    # Records out

    @override
    def decode(
        self, page: Page, columns: Mapping[str, str], chunk_type: type[Chunk]
    ) -> Iterator[Chunk]:
        decoder = CsvDecoder(
            self.effective_schema,
            columns,
            multiselect_separator=self.run.settings.multiselect_separator,
            invalid=self.invalid_values,
            chunk_type=chunk_type,
        )
        marks_deletes = self.marks_deletes
        for chunk in decoder.chunks(page):
            if marks_deletes:
                chunk.columns[DELETED_AT] = [None] * len(chunk)
            yield chunk


def _records_requested(query: BulkReadQuery) -> str:
    """Return a fingerprint of which records a query requests, apart from the bookmark."""
    return replace(query, since=None, fields=()).fingerprint


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
