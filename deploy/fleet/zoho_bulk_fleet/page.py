"""The page of a fleet: the newest run of each organisation as one self-contained HTML page.

Invariant: figures hold text from Zoho, and whatever else is in the storage. On the page, text is
escaped, printable and of limited length, and a figure of another type is unknown. Every
organisation has its row.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoho_bulk_fleet.figures import NO_RUN, UNREADABLE
from zoho_bulk_fleet.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LATE_AFTER = timedelta(hours=2)
"""How long ago an organisation's newest run that was ok may have begun until it is late."""

_KINDS: dict[str, str] = {
    Outcome.FIX_FIRST.value: "bad",
    Outcome.FAILED.value: "bad",
    UNREADABLE: "bad",
    Outcome.STREAMS_FAILED.value: "bad",
    Outcome.LEASE_LOST.value: "warn",
    Outcome.TRY_AGAIN_LATER.value: "warn",
    Outcome.STOPPED.value: "warn",
    Outcome.INCOMPLETE.value: "warn",
    NO_RUN: "faint",
    Outcome.OK.value: "good",
}
"""How the page shows each outcome. What a person must fix comes first."""
_RANKS = {outcome: rank for rank, outcome in enumerate(_KINDS)}
_UNKNOWN = "–"  # noqa: RUF001
_DAY = timedelta(days=1)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_MAX_NUMBER = 10**15
_MAX_TEXT = 400
_MAX_NAMES = 8
_MAX_SPENDERS = 8


@dataclass
class Row:
    """An organisation on the page. Numbers are None if they are unknown.

    Args:
        since_ok: Seconds since the newest run began that was ok; None if none was.
        late: Whether that is too long, or none was.
        lag: Seconds since the newest bookmark.
        records_24h: Records in the 24 hours before the run's end, and 0 if that was a day ago.
        credits_24h: Credits, likewise.
    """

    organisation: str
    outcome: str
    kind: str
    notes: list[str]
    since_ok: float | None
    late: bool
    lag: float | None
    began: datetime | None
    figures: dict[str, float | None]
    records_24h: float
    credits_24h: float

    def need(self) -> tuple[int, int, float, str]:
        """Return the key that sorts rows by how much they need a person."""
        group = 0 if self.kind == "bad" else 1 if self.late else 2
        since_ok = float("inf") if self.since_ok is None else self.since_ok
        return group, _RANKS.get(self.outcome, 0), -since_ok, self.organisation


@dataclass
class FleetPage:
    """The content of the page.

    Args:
        now: The page's time.
        late_after: See `LATE_AFTER`.
        rows: The organisations; those that need a person come first.
    """

    now: datetime
    late_after: timedelta
    rows: list[Row] = field(default_factory=list)

    def add(self, figures: Mapping[str, Any]) -> None:
        """Add an organisation.

        Args:
            figures: Of its newest run.
        """
        outcome = _text(figures.get("outcome")) or "unknown"
        began, bookmark, last_ok = (
            _moment(figures.get(name)) for name in ("began", "newest_bookmark", "last_ok")
        )
        numbers = {
            name: _number(figures.get(name))
            for name in ("seconds", "records", "credits", "peak_memory_bytes")
        }
        ended = _later(began, numbers["seconds"] or 0)
        since_ok = self._since(last_ok)
        is_of_today = ended is not None and self.now - ended < _DAY
        records_24h, credits_24h = (
            (_number(figures.get(name)) or 0) if is_of_today else 0
            for name in ("records_24h", "credits_24h")
        )
        self.rows.append(
            Row(
                organisation=_text(figures.get("organisation")) or "without a name",
                outcome=outcome,
                kind=_KINDS.get(outcome, "bad"),
                notes=[*_notes(figures, ended)],
                since_ok=since_ok,
                late=since_ok is None or since_ok > self.late_after.total_seconds(),
                lag=self._since(bookmark),
                began=began,
                figures=numbers,
                records_24h=records_24h,
                credits_24h=credits_24h,
            )
        )

    def _since(self, moment: datetime | None) -> float | None:
        return None if moment is None else max((self.now - moment).total_seconds(), 0.0)

    @property
    def outcomes(self) -> list[tuple[str, str, int]]:
        """The outcomes, how they are shown, and how many organisations have them."""
        found = Counter((row.outcome, row.kind) for row in self.rows)
        ordered = sorted(found.items(), key=lambda item: _RANKS.get(item[0][0], 0))
        return [(outcome, kind, count) for (outcome, kind), count in ordered]

    @property
    def spenders(self) -> list[Row]:
        """The organisations that spent most credits."""
        spent = [row for row in self.rows if row.credits_24h]
        return sorted(spent, key=lambda row: -row.credits_24h)[:_MAX_SPENDERS]

    @property
    def credits_24h(self) -> float:
        """What all organisations spent."""
        return sum(row.credits_24h for row in self.rows)

    @property
    def max_credits(self) -> float:
        """What the organisation spent that spent most."""
        return max((row.credits_24h for row in self.rows), default=0)

    @property
    def records_24h(self) -> float:
        """Records that came from all organisations."""
        return sum(row.records_24h for row in self.rows)

    def count(self, kind: str) -> int:
        """Return how many organisations have such an outcome.

        Args:
            kind: How the page shows the outcome, such as `bad`.
        """
        return sum(row.kind == kind for row in self.rows)

    @property
    def late(self) -> int:
        """How many organisations are late."""
        return sum(row.late for row in self.rows)


def fleet_page(
    figures: Iterable[Mapping[str, Any]], *, now: datetime, late_after: timedelta = LATE_AFTER
) -> str:
    """Return the page as HTML.

    Args:
        figures: Of the newest run of each organisation.
        now: When they were read, with a time zone.
        late_after: See `LATE_AFTER`.
    """
    page = FleetPage(now.astimezone(timezone.utc), late_after)
    for each in figures:
        page.add(each)
    page.rows.sort(key=Row.need)
    environment = Environment(
        loader=PackageLoader("zoho_bulk_fleet", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=_duration, moment=_shown_moment, number=_shown_number, size=_size, digest=_digest
    )
    return environment.get_template("page.html").render(page=page)


def _notes(figures: Mapping[str, Any], ended: datetime | None) -> Iterator[str]:
    """Yield the reasons of an outcome."""
    if message := _text(figures.get("message")):
        yield message
    for key, what in (("failed_streams", "Failed"), ("incomplete_streams", "Incomplete")):
        if isinstance(names := figures.get(key), list) and names:
            shown = ", ".join(_text(name) for name in names[:_MAX_NAMES])
            more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
            yield f"{what}: {shown}{more}"
    if until := _later(ended, _number(figures.get("retry_after_seconds"))):
        yield f"Zoho asks to wait until {_shown_moment(until)} UTC"


def _text(value: Any) -> str:
    r"""Return a text with escapes, such as `\n` and `\u202e`, for all that is not printable."""
    if not isinstance(value, str):
        return ""
    text = value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]} …"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER:
        return float(value)
    return None


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        # Python 3.10 does not know the suffix.
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def _later(moment: datetime | None, seconds: float | None) -> datetime | None:
    if moment is None or seconds is None:
        return None
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _shown_moment(moment: datetime | None) -> str:
    return _UNKNOWN if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _shown_number(number: float | None) -> str:
    return _UNKNOWN if number is None else f"{number:,.0f}"


def _size(size: float | None) -> str:
    return _UNKNOWN if size is None else f"{size / 1e6:,.0f} MB"


def _duration(seconds: float | None) -> str:
    """Return seconds in the two largest units, such as `2 d 4 h` or `12 s`."""
    if seconds is None:
        return _UNKNOWN
    rest, parts = round(seconds), []
    for size, unit in _UNITS:
        number, rest = divmod(rest, size)
        parts.append(f"{number} {unit}" if number else "")
    first = next((place for place, part in enumerate(parts) if part), None)
    return "0 s" if first is None else " ".join(filter(None, parts[first : first + 2]))


def _digest(text: str) -> str:
    """Return the source of an inline script or style for a Content Security Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
