"""The stream of bulk write results: the outcome of each row that was imported in bulk.

Invariant: an error of one job does not keep the others from being read, and the stream fails if the
result of a completed job cannot be read completely. Zoho does not document whether a result has
`total_count` rows, so a difference is only logged.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-write/download-result.html
"""

from __future__ import annotations

import csv
import io
import re
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from singer_sdk import typing as th
from typing_extensions import override

from tap_zoho_bulk.api.request import ApiRequest
from tap_zoho_bulk.bulk_read.job import poll_intervals
from tap_zoho_bulk.bulk_read.page import PAGE_RECORDS, JobRef
from tap_zoho_bulk.crm.job_status import JobStatus
from tap_zoho_bulk.crm.scopes import BULK_WRITE_SCOPE
from tap_zoho_bulk.crm.timestamps import utc_or_none
from tap_zoho_bulk.decode.csv_file import CsvBytes, csv_rows, take_rows
from tap_zoho_bulk.exceptions import (
    JobFailedError,
    MissingScopeError,
    PageDamagedError,
    UnreadableStreamError,
    ZohoRefusedError,
    ZohoUnavailableError,
)
from tap_zoho_bulk.streams.full_table import FullTableStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap

    from tap_zoho_bulk.bulk_read.archive import Archive
    from tap_zoho_bulk.run import Run

NAME = "bulk_write_results"

_OWN_COLUMNS = {"STATUS": "status", "RECORD_ID": "record_id", "ID": "record_id", "ERRORS": "errors"}
_COUNTS = ("total_count", "added_count", "updated_count", "skipped_count")
# A colon separates errors, and the name of a column may also contain one.
_between_errors = re.compile(r":(?=[A-Z]+(?:_[A-Z]+)+(?:[-:]|$))").split

_SCHEMA = th.PropertiesList(
    th.Property("job_id", th.StringType, required=True),
    th.Property(
        "row_number",
        th.IntegerType,
        required=True,
        description="From 1, through all files of the job; 0 is the job itself.",
    ),
    th.Property("module", th.StringType, description="API name of the module."),
    th.Property("operation", th.StringType, description="`insert`, `update` or `upsert`."),
    th.Property("job_status", th.StringType),
    th.Property("created_time", th.DateTimeType),
    th.Property("file_name", th.StringType),
    *(th.Property(name, th.IntegerType, description="Of the file.") for name in _COUNTS),
    th.Property("status", th.StringType, description="Outcome of the row."),
    th.Property("record_id", th.StringType, description="Id of the resulting record."),
    th.Property(
        "columns",
        th.ObjectType(additional_properties=True),
        description="The first three mapped columns, by their headers.",
    ),
    th.Property(
        "errors",
        th.ArrayType(
            th.ObjectType(
                th.Property("code", th.StringType),
                th.Property("columns", th.ArrayType(th.StringType)),
            )
        ),
    ),
).to_dict()


class BulkWriteResultsStream(FullTableStream):
    """Results of the bulk write jobs that the settings name.

    Args:
        tap: The SDK's tap.
        run: What the streams of this run share.
    """

    name = NAME

    def __init__(self, tap: Tap, run: Run) -> None:
        super().__init__(tap, run, name=NAME, schema=_SCHEMA)
        self.primary_keys = ["job_id", "row_number"]

    @property
    @override
    def least_credits(self) -> int:
        return 2 * len(self.run.settings.bulk_write_job_ids)  # its state, and its result

    @override
    def rows(self) -> Iterator[dict[str, Any]]:
        unread: dict[str, Exception] = {}
        for job_id in self.run.settings.bulk_write_job_ids:
            try:
                yield from self._of_job(job_id)
            except MissingScopeError:  # noqa: PERF203 - a job takes seconds
                raise  # It applies to all jobs.
            except (
                JobFailedError,
                PageDamagedError,
                ZohoRefusedError,
                ZohoUnavailableError,
            ) as error:
                self.logger.error("%s", error)  # noqa: TRY400 - the message is for people
                unread[job_id] = error
        if unread:
            refused = any(isinstance(error, ZohoRefusedError) for error in unread.values())
            raise (UnreadableStreamError if refused else JobFailedError)(
                f"{NAME}: cannot read the results of {', '.join(unread)}. A line above says why, "
                "for each. Remove jobs that Zoho no longer has from `bulk_write_job_ids`."
            )

    def _of_job(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a job: the job itself, then those of its files."""
        details = self._completed(job_id)
        files = [_file(each) for each in _objects(details.get("resource"))]
        job = {
            "job_id": job_id,
            "operation": _text(details.get("operation")),
            "job_status": _text(details.get("status")),
            "created_time": utc_or_none(details.get("created_time")),
        }
        only_file = files[0] if len(files) == 1 else {}
        yield _row(job, only_file, row_number=0)
        result = details.get("result")
        url = result.get("download_url") if isinstance(result, dict) else None
        if not isinstance(url, str) or not url:
            self.logger.warning(
                "Bulk write job %s is %s, with no result.", job_id, job["job_status"]
            )
            return
        try:
            yield from self._of_result(job, files, url)
        except PageDamagedError as damage:
            self.logger.warning("%s Downloading it again.", damage)
            yield from self._of_result(job, files, url)

    # The job

    def _completed(self, job_id: str) -> dict[str, Any]:
        """Poll a job until it has ended or `job_timeout_seconds` have passed."""
        run = self.run
        details: dict[str, Any] = {}
        logged = None
        for _ in poll_intervals(run.settings, run.client.stop, at_once=True):
            details = self._poll(job_id)
            status = str(details.get("status") or "without a status")
            if JobStatus.parse(status).has_ended:
                return details
            if status != logged:
                self.logger.info("Bulk write job %s is %s.", job_id, status)
                logged = status
        self.logger.warning(
            "Bulk write job %s was still %s after %.0f s (`job_timeout_seconds`).",
            job_id,
            logged,
            run.settings.job_timeout_seconds,
        )
        return {**details, "result": None}

    def _poll(self, job_id: str) -> dict[str, Any]:
        run = self.run
        response = run.client.get(
            ApiRequest(
                f"/crm/bulk/{run.settings.api_version}/write/{job_id}",
                what=f"poll bulk write job {job_id}",
                scope=BULK_WRITE_SCOPE,
            ),
            spending=self.spending,
        )
        # Zoho documents no `data` around it, unlike in bulk read.
        wrapped = _objects((response or {}).get("data"))
        return wrapped[0] if wrapped else response or {}

    # Its result

    def _of_result(
        self, job: dict[str, Any], files: list[dict[str, Any]], url: str
    ) -> Iterator[dict[str, Any]]:
        archive = self.run.downloader.download(
            JobRef(NAME, 1, job["job_id"]), url, scope=BULK_WRITE_SCOPE, spending=self.spending
        )
        number = 0
        try:
            with archive.open_all() as entries:
                for name, entry in entries:
                    file = _file_of(name, files)
                    for cells in result_rows(archive, entry):
                        number += 1
                        yield _row(job, file, row_number=number, **cells)
        finally:
            archive.close()
        total = sum(file["total_count"] or 0 for file in files)
        if number != total:
            self.logger.warning(
                "The result of bulk write job %s has %d rows, but the job reports %d.",
                job["job_id"],
                number,
                total,
            )


def _row(
    job: dict[str, Any], file: dict[str, Any], *, row_number: int, **cells: Any
) -> dict[str, Any]:
    empty = dict.fromkeys(_SCHEMA["properties"])
    return {**empty, **job, **file, "row_number": row_number, **cells}


def result_rows(
    archive: Archive, entry: IO[bytes], *, max_rows: int = PAGE_RECORDS
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV: the mapped columns, then Zoho's own three.

    Args:
        archive: As downloaded; for messages.
        entry: One of its files.
        max_rows: Maximum number of its rows, empty ones included.

    Raises:
        PageDamagedError: When the CSV does not have that form.
    """
    raw = CsvBytes(entry, str(archive))
    text = io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8-sig", newline="")
    rows = csv_rows(text)
    try:
        header = next(rows, None) or []
        # From the end: a mapped column may have the name of one of Zoho's.
        own = {name: place for place, name in enumerate(map(_own_column, header)) if name}
        if own.keys() != set(_OWN_COLUMNS.values()):
            raise PageDamagedError(f"{archive}: the CSV lacks STATUS, RECORD_ID or ERRORS.")
        mapped = [place for place in range(len(header)) if place not in own.values()]
        portions = iter(lambda: take_rows(rows, raw), [])
        for number, row in enumerate(chain.from_iterable(portions), 1):
            if number > max_rows:
                raise PageDamagedError(f"{archive}: the CSV has more than {max_rows} rows.")
            if not row:
                continue
            if len(row) != len(header):
                raise PageDamagedError(
                    f"{archive}: a row has {len(row)} cells, the header {len(header)}."
                )
            yield {
                "columns": {header[place]: row[place] or None for place in mapped},
                "status": row[own["status"]] or None,
                "record_id": row[own["record_id"]] or None,
                "errors": errors(row[own["errors"]]),
            }
    except (csv.Error, UnicodeDecodeError) as error:
        raise PageDamagedError(
            f"{archive}: the CSV is damaged ({type(error).__name__})."
        ) from error


def _own_column(header: str) -> str | None:
    return _OWN_COLUMNS.get(header.strip().upper())


def errors(cell: str) -> list[dict[str, Any]] | None:
    """Parse the ERRORS of a row.

    Args:
        cell: Such as `MANDATORY_NOT_FOUND-Company,Last_Name:DUPLICATE_DATA-Email`.

    Returns:
        Each error's code and columns; None if there is no error.
    """
    if not cell:
        return None
    parts = [error.partition("-") for error in _between_errors(cell)]
    return [
        {"code": code, "columns": [name for name in columns.split(",") if name]}
        for code, _, columns in parts
    ]


def _file(resource: dict[str, Any]) -> dict[str, Any]:
    """Return what a job reports about one of its files."""
    file, module = resource.get("file"), resource.get("module")
    if not isinstance(file, dict):
        file = {}
    return {
        "module": _text(module.get("api_name") if isinstance(module, dict) else module),
        "file_name": _text(file.get("name")),
        **{name: _count(file.get(name)) for name in _COUNTS},
    }


def _file_of(name: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the file of a result: Zoho names a result `module-file`."""
    if len(files) == 1:
        return files[0]
    named = [file for file in files if name.startswith(f"{file['module']}-")]
    return named[0] if len(named) == 1 else {"file_name": name}


def _objects(listed: Any) -> list[dict[str, Any]]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _count(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)
