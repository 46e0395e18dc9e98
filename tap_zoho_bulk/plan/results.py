"""The results: what the files of a probe's job show of the forms that Zoho writes.

Invariant: no finding holds a value of a record, an id, or a name of the account's.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from typing import TYPE_CHECKING, Any

from tap_zoho_bulk.decode.csv_file import csv_rows
from tap_zoho_bulk.plan.forms import calendar_form, describe, forms_of, most_frequent
from tap_zoho_bulk.reporting.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_zoho_bulk.bulk_read.page import Page

    Findings = Iterator[tuple[str, str]]
    """What is found, with what it is about."""

TYPES = (
    *("boolean", "multiselectpicklist", "datetime", "date", "percent", "currency", "double"),
    *("decimal", "integer", "bigint", "formula", "rollup_summary", "lookup", "ownerlookup"),
)
"""Zoho's types whose form is open, most interesting first; those of free text are not."""

_MAX_BYTES = 16 << 20
"""Of a result. What comes after it is not read."""
_ID_COLUMNS = ("Id", "id", "ID")
_CALENDAR_PROPERTIES = ("BEGIN:", "VERSION:", "PRODID:", "CALSCALE:", "METHOD:")
"""Their values are shown; of others, only names and forms."""
_COMPONENTS = ("VCALENDAR", "VTIMEZONE", "STANDARD", "DAYLIGHT", "VEVENT", "VALARM")
_EVENT_PROPERTIES = ("UID", "DTSTART", "DTEND", "RECURRENCE-ID", "RRULE")


def content_of(page: Page) -> tuple[list[str], bytes]:
    """Return the names of the files in a page's ZIP, and the beginning of the last one.

    Args:
        page: As downloaded.

    Raises:
        PageDamagedError: When the ZIP is corrupt.
    """
    names, data = [], b""
    with page.archive.open_all() as files:
        for name, entry in files:
            names.append(name)
            data = entry.read(_MAX_BYTES)
    return names, data


def csv_findings(
    names: Sequence[str],
    data: bytes,
    fields: Mapping[str, str],
    in_rest: Mapping[str, Mapping[str, Any]],
) -> Findings:
    """Yield what a CSV shows.

    Args:
        names: Of the files in the ZIP.
        data: The CSV.
        fields: Zoho's type of each requested field.
        in_rest: Some records as REST has them, by id, to compare with.
    """
    yield "ZIP", forms_of(names)
    yield "BOM", "yes" if data.startswith(codecs.BOM_UTF8) else "no"
    first = data.split(b"\n", 1)[0]
    yield "line ends", "CRLF" if first.endswith(b"\r") else "LF"
    yield "UTF-8", "yes" if _is_utf8(data) else "no"
    header, rows = _rows(data)
    is_quoted = first.rstrip().endswith(b'"')
    yield "header", f"{len(header)} columns, {'quoted' if is_quoted else 'not quoted'}"
    id_column = next((name for name in _ID_COLUMNS if name in header), "")
    place = f"`{id_column}`, column {header.index(id_column) + 1}" if id_column else "not found"
    yield "id column", place
    requested = [name for name in header if name in fields]
    yield "order of columns", "as requested" if requested == [*fields] else "another"
    yield "missing columns", str(len(fields.keys() - {*header}))
    yield "surplus columns", str(len({*header} - fields.keys() - {id_column}))
    for data_type in TYPES:
        pairs = [
            (row.get(name, ""), in_rest.get(row.get(id_column, ""), {}).get(name))
            for name, each in fields.items()
            if each == data_type
            for row in rows
        ]
        if pairs:
            yield data_type, describe(data_type, pairs)


def _rows(data: bytes) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header, and the rows as far as they parse."""
    header: list[str] = []
    rows = []
    try:
        for row in csv_rows(io.StringIO(data.decode("utf-8-sig", "replace"), newline="")):
            if not header:
                header = row
            elif row:
                rows.append(dict(zip(header, row, strict=False)))
    except csv.Error:  # The file is longer than what was read of it.
        pass
    return header, rows


def _is_utf8(data: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def ics_findings(names: Sequence[str], data: bytes) -> Findings:
    """Yield what a calendar shows.

    Args:
        names: Of the files in the ZIP.
        data: The calendar.
    """
    yield "ZIP", forms_of(names)
    text = data.decode("utf-8", "replace")
    yield "line ends", "CRLF" if "\r\n" in text else "LF"
    lines = text.replace("\r\n ", "").replace("\n ", "").splitlines()
    inside = next((n for n, line in enumerate(lines) if n and line.startswith("BEGIN:")), 0)
    head = (
        printable(line) if line.startswith(_CALENDAR_PROPERTIES) else calendar_form(line)
        for line in lines[:inside]
    )
    yield "calendar", "; ".join(head)
    kinds = Counter(line.partition(":")[2] for line in lines if line.startswith("BEGIN:"))
    yield "components", ", ".join(f"{kinds.pop(kind, 0)} {kind}" for kind in _COMPONENTS)
    yield "other components", str(kinds.total())
    for name in _EVENT_PROPERTIES:
        of_name = [line for line in lines if line.startswith((f"{name}:", f"{name};"))]
        yield name, most_frequent(map(calendar_form, of_name)) or "none"
