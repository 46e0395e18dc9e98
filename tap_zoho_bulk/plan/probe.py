"""The probe: what Zoho's documentation leaves open, found out with one small job.

Invariant: the report holds no value of a record, no id, and no name of the account's.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.bulk_read.job import BulkReadJobs, scope_of
from tap_zoho_bulk.bulk_read.page import JobRef
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.catalog.probes import count_records
from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.crm.related_fields import path_of
from tap_zoho_bulk.exceptions import UnreadableStreamError, ZohoRefusedError, ZohoUnavailableError
from tap_zoho_bulk.plan.forms import form_of
from tap_zoho_bulk.plan.results import TYPES, content_of, csv_findings, ics_findings
from tap_zoho_bulk.reporting.spending import Spending
from tap_zoho_bulk.streams.calendar_events import EventsIcsStream
from tap_zoho_bulk.streams.module import ModuleStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_zoho_bulk.bulk_read.page import Page
    from tap_zoho_bulk.tap import TapZohoBulk

_MAX_FIELDS_OF_TYPE = 3
_MAX_CANDIDATES = 5
_MAX_RECORDS = 20_000
_REST_RECORDS = 200
_UNCHANGED = "ask for records that changed just now"
_NOT_DELETED = "ask for records that were deleted just now"


@dataclass(frozen=True)
class Target:
    """What a probe reads.

    Args:
        module: API name of the module.
        fields: Zoho's type of each field to request.
        records: Records by Zoho's count; None if unknown.
        file_type: `csv` or `ics`.
    """

    module: str
    fields: Mapping[str, str]
    records: int | None
    file_type: str


def choose_target(tap: TapZohoBulk, file_type: str) -> Target:
    """Choose a small module with fields of many types, at up to five API credits.

    Args:
        tap: The tap.
        file_type: `csv` or `ics`.

    Raises:
        UnreadableStreamError: When no module has records to probe.
        TapZohoBulkError: As `ZohoClient.get` does.
    """
    run = tap.run
    modules = [each for each in tap.streams.values() if isinstance(each, ModuleStream)]
    if file_type == "ics":
        modules = [each for each in modules if each.name == EventsIcsStream.module]
    fields = {module.name: _fields(module) for module in modules}
    by_types = sorted(fields, key=lambda name: len({*fields[name].values()}), reverse=True)
    found: list[Target] = []
    for name in by_types[:_MAX_CANDIDATES]:
        count = count_records(run.client, run.settings, name, None, Spending())
        if count == 0:
            continue
        target = Target(name, fields[name] if file_type == "csv" else {}, count, file_type)
        if count is not None and count <= _MAX_RECORDS:
            return target
        found.append(target)
    if not found:
        raise UnreadableStreamError(
            "No module has records to probe. Choose modules that have some by `modules`."
        )
    return min(found, key=lambda each: each.records or _MAX_RECORDS)


def _fields(module: ModuleStream) -> dict[str, str]:
    """Return some fields of each type whose form is open."""
    types = {
        name: data_type
        for name, schema in module.schema["properties"].items()
        if path_of(schema) is None and (data_type := zoho_type(schema)) in TYPES
    }
    seen: Counter[str] = Counter()
    chosen = {}
    for name, data_type in types.items():
        seen[data_type] += 1
        if seen[data_type] <= _MAX_FIELDS_OF_TYPE and name != "id":
            chosen[name] = data_type
    return chosen


class Probe:
    """One job, and what it and some cheap requests show.

    Args:
        tap: The tap.
        target: What to read.
    """

    def __init__(self, tap: TapZohoBulk, target: Target) -> None:
        self._tap = tap
        self._target = target
        self._statuses: dict[str, int] = {}
        self._states: list[str] = []
        self._result_early = False
        self._too_many: list[str] = []
        self._download: Mapping[str, str] = {}
        self._headers: set[str] = set()
        self._created: str | None = None

    def run(self) -> dict[str, str]:
        """Run the job, and return what was found, by what it is about.

        Raises:
            TapZohoBulkError: As `BulkReadJobs` does.
        """
        run, target = self._tap.run, self._target
        run.client.on_response = self._seen
        try:
            with closing(self._page()) as page:
                names, data = content_of(page)
                count = page.result.count
            in_rest = self._in_rest() if target.file_type == "csv" else {}
            self._ask_for_nothing()
        finally:
            run.client.on_response = None
        found = (
            csv_findings(names, data, target.fields, in_rest)
            if target.file_type == "csv"
            else ics_findings(names, data)
        )
        same = "the same" if count == target.records else "another number"
        counted = {"actions/count": "unknown" if target.records is None else same}
        return {**self._of_run(), **dict(found), **counted, **self._of_requests()}

    # The job

    def _page(self) -> Page:
        run, target = self._tap.run, self._target
        query = BulkReadQuery(
            module=target.module,
            fields=tuple(target.fields),
            api_version=run.settings.api_version,
            file_type=target.file_type,
        )
        jobs = BulkReadJobs(run.client, run.downloader, run.settings, Spending(target.module))
        created = jobs.create(query, 1, query.body())
        job = JobRef(target.module, 1, created.id)
        return jobs.download(job, jobs.wait(query, job))

    def _seen(
        self, request: ApiRequest, status: int, headers: Mapping[str, str], body: dict[str, Any]
    ) -> None:
        """Note a response."""
        self._statuses[request.what] = status
        self._headers |= {name for name in headers if name.lower().startswith("x-")}
        data = body.get("data")
        details = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
        code = body.get("code") or details.get("code")
        if status == 429 or code == "TOO_MANY_REQUESTS":  # noqa: PLR2004
            within = f", keys of data {sorted(details)}" if details else ""
            self._too_many.append(
                f"HTTP {status}, keys {sorted(body)}{within}, code {code}, Retry-After "
                f"{form_of(headers.get('Retry-After', '')) or 'missing'}"
            )
        elif request.what.startswith("download "):
            self._download = headers
        elif "/bulk/" in request.path:
            if isinstance(details.get("details"), dict):
                self._created = str(details["details"].get("created_time"))
            elif state := str(details.get("state") or ""):
                self._result_early |= state != "COMPLETED" and "result" in details
                if state not in self._states:
                    self._states.append(state)

    def _ask_for_nothing(self) -> None:
        """Request lists that have nothing since now, to see with which status they say so."""
        run, module = self._tap.run, self._target.module
        ahead = timedelta(seconds=run.client.account_headers.clock_ahead or 0)
        now = (datetime.now(timezone.utc) + ahead).replace(microsecond=0)
        since = {"If-Modified-Since": now.isoformat()}
        path = f"/crm/{run.settings.api_version}/{module}"
        for request in (
            ApiRequest(
                path,
                what=_UNCHANGED,
                scope=scope_of(module),
                params={"fields": "id", "per_page": 1},
                headers=since,
            ),
            ApiRequest(
                f"{path}/deleted",
                what=_NOT_DELETED,
                scope=scope_of(module),
                params={"type": "all", "page": 1, "per_page": 1},
                headers=since,
                credits=2,
            ),
        ):
            with suppress(ZohoRefusedError, ZohoUnavailableError):  # The status is noted.
                run.client.get(request)

    # What it shows

    def _of_run(self) -> dict[str, str]:
        settings = self._tap.run.settings
        return {
            "tap": f"{self._tap.plugin_version}, API {settings.api_version}, data center "
            f"{settings.data_center}, {settings.environment}",
            "at": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        }

    def _of_requests(self) -> dict[str, str]:
        about = {name.lower(): value for name, value in self._download.items()}
        return {
            "job": f"states {', '.join(self._states) or 'unknown'}; created_time "
            f"`{form_of(self._created or '')}`",
            "result before COMPLETED": "yes" if self._result_early else "no",
            "download": f"Content-Type `{about.get('content-type')}`, Content-Disposition "
            f"`{form_of(about.get('content-disposition', 'none'))}`",
            "no records changed": f"HTTP {self._statuses.get(_UNCHANGED, 'unknown')}",
            "no records deleted": f"HTTP {self._statuses.get(_NOT_DELETED, 'unknown')}",
            "429": "; ".join(dict.fromkeys(self._too_many)) or "not seen",
            "headers X-": ", ".join(sorted(self._headers)) or "none",
        }

    def _in_rest(self) -> dict[str, dict[str, Any]]:
        """Return some records as REST has them, by id, to compare with."""
        run, target = self._tap.run, self._target
        request = ApiRequest(
            f"/crm/{run.settings.api_version}/{target.module}",
            what=f"read some records of {target.module}",
            scope=scope_of(target.module),
            params={
                "fields": ",".join(target.fields),
                "per_page": _REST_RECORDS,
                "converted": "both",
            },
        )
        try:
            data = (run.client.get(request) or {}).get("data")
        except (ZohoRefusedError, ZohoUnavailableError):
            return {}
        listed = data if isinstance(data, list) else []
        return {str(each.get("id")): each for each in listed if isinstance(each, dict)}
