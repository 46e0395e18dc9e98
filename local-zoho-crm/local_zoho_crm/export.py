"""Result files of bulk read: a CSV or an ICS in a ZIP, written row by row."""

from __future__ import annotations

import random
import re
import zipfile
from dataclasses import dataclass
from datetime import timezone
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from local_zoho_crm.meetings import Meeting, calendar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path as FilePath

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Path, Record

    Column = tuple[str, Callable[[Record], str]]

_NEEDS_QUOTES = re.compile(r'[",\r\n]')
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class CsvStyle:
    """What Zoho's documentation leaves open about CSV files, or what differs by account.

    Attributes:
        id_column: Name of the column with the id.
        shuffled: Whether columns come in an arbitrary order.
        surplus_columns: Columns that the query did not request.
        booleans: The texts for false and true.
        separator: The separator of a multi-select picklist's values.
        bom: Whether files begin with a byte order mark.
        line_end: The end of each line.
        numbers: How numbers with decimals are formatted, as Python's `format` reads it.
        percents: What stands for a percent; `{}` is replaced with the number.
        offsets: Whether date-times are in the user's time zone, or in UTC with a Z.
        ics_head: The properties of a calendar; `{}` is replaced with the user's time zone.
        quote_all: Whether every cell is quoted, or only those that need it.
    """

    id_column: Literal["Id", "id"] = "Id"
    shuffled: bool = False
    surplus_columns: tuple[str, ...] = ()
    booleans: tuple[str, str] = ("false", "true")
    separator: str = ";"
    bom: bool = False
    line_end: Literal["\n", "\r\n"] = "\r\n"
    quote_all: bool = False
    numbers: str = "f"
    percents: str = "{}"
    offsets: Literal["user", "Z"] = "user"
    ics_head: tuple[str, ...] = (
        "PRODID:-//Zoho CRM//NONSGML Calendar//EN",
        "VERSION:2.0",
        "X-WR-TIMEZONE:{}",
    )


@dataclass(frozen=True)
class Damage:
    """What is wrong with a result file.

    Attributes:
        drop_column: A column to leave out; "" for the last one.
        ragged_row: The index of a row that lacks its last cell, or of a meeting without its end.
    """

    drop_column: str | None = None
    ragged_row: int | None = None


def write_csv(
    target: FilePath, rows: Iterable[Record], columns: list[Column], style: CsvStyle, damage: Damage
) -> None:
    """Write rows as a CSV in a ZIP; both have the same name."""
    if style.shuffled:
        columns = random.Random(target.stem).sample(columns, len(columns))
    if damage.drop_column is not None:
        dropped = damage.drop_column or columns[-1][0]
        columns = [(name, cell) for name, cell in columns if name != dropped]
    cells = [cell for _, cell in columns]
    quote = _quote_all if style.quote_all else _quote

    def lines() -> Iterator[str]:
        yield ("\ufeff" if style.bom else "") + ",".join(quote(name) for name, _ in columns)
        for number, row in enumerate(rows):
            line = [quote(cell(row)) for cell in cells]
            yield ",".join(line[:-1] if number == damage.ragged_row else line)

    _pack(target, f"{target.stem}.csv", lines(), style.line_end)


def write_ics(
    target: FilePath,
    rows: Iterable[Record],
    *,
    organisation: Organisation,
    style: CsvStyle,
    damage: Damage,
) -> None:
    """Write meetings as an ICS file in a ZIP, with time zones first or last."""
    meetings = [Meeting(organisation, row) for row in rows]
    head = [line.replace("{}", organisation.time_zone) for line in style.ics_head]
    lines = calendar(meetings, head, zones_last=int(target.stem) % 2 == 0)
    if damage.ragged_row is not None:
        lines = _without_an_end(lines, damage.ragged_row)
    _pack(target, f"{target.stem}.ics", lines, "\r\n")


def _without_an_end(lines: Iterable[str], number: int) -> Iterator[str]:
    ends = count()
    return (line for line in lines if line != "END:VEVENT" or next(ends) != number)


def _pack(target: FilePath, name: str, lines: Iterable[str], line_end: str) -> None:
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        waiting: list[str] = []
        for line in lines:
            waiting += (line, line_end)
            if len(waiting) >= 2 * _ROWS_AT_ONCE:
                member.write("".join(waiting).encode())
                waiting.clear()
        member.write("".join(waiting).encode())


def _quote(cell: str) -> str:
    return _quote_all(cell) if _NEEDS_QUOTES.search(cell) else cell


def _quote_all(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def csv_columns(paths: Sequence[Path], organisation: Organisation, style: CsvStyle) -> list[Column]:
    """Return the columns of a query: the name, and the function that formats a cell."""
    columns: list[Column] = [(style.id_column, lambda record: str(record["id"]))]
    columns += [(path.name, _cell(path, organisation, style)) for path in paths]
    columns += [(name, lambda _: "surplus") for name in style.surplus_columns]
    return columns


def _cell(path: Path, organisation: Organisation, style: CsvStyle) -> Callable[[Record], str]:
    """Return the function that formats a record's cell of this column."""
    text = _formatter(path, organisation, style)
    name = path.field.api_name
    if path.via or path.field.restricted:

        def through(record: Record) -> str:
            value = path.value(organisation, record)
            return "" if value is None else text(value)

        return through

    def direct(record: Record) -> str:
        value = record.get(name)
        return "" if value is None else text(value)

    return direct


def _formatter(path: Path, organisation: Organisation, style: CsvStyle) -> Callable[[Any], str]:
    formatters: dict[str, Callable[[Any], str]] = {
        "boolean": style.booleans.__getitem__,
        "number": lambda value: format(value, style.numbers),
        "date": lambda value: str(value.isoformat()),
        "datetime": organisation.timestamp if style.offsets == "user" else _in_utc,
        "list": ",".join if path.field.is_tag else style.separator.join,
    }
    format_ = formatters.get(path.field.kind, str)
    if path.field.data_type == "percent":
        return lambda value: style.percents.format(format_(value))
    return format_


def _in_utc(value: datetime) -> str:
    return f"{value.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
