"""The forms of values: how Zoho writes them, without what they are.

Invariant: nothing here returns a value of a record, but for the words of booleans and the offsets
of date-times. Digits become 0, letters become a, and what is not ASCII becomes a point.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Pairs = Sequence[tuple[str, Any]]
    """Cells of a column, each with the value that the same record has in REST."""

_WORDS = frozenset({"true", "false", "yes", "no", "t", "f", "y", "n", "on", "off", "1", "0"})
_MAX_FORMS = 6
_MAX_FORM_CHARACTERS = 60
_MAX_SEPARATOR_CHARACTERS = 3
_NUMBERS = frozenset({"integer", "bigint", "double", "decimal", "currency", "percent"})

# What ISO 8601 means by letters
_letters = re.compile(r"(?!(?<=\d)[TZ](?![^\W\d_]))[^\W\d_]+")
_digits = re.compile(r"\d+")
_other = re.compile(r"[^ -~]+")
_parameter = re.compile(r"([A-Z-]+)=(.*)", re.DOTALL).fullmatch
_offset = re.compile(r"T[\d:.]+([+-][\d:]+|Z)?$")


def form_of(text: str) -> str:
    """Return the form of a text, such as `0-0-0T0:0:0+0:0`.

    Args:
        text: A cell, a header or a name.
    """
    return _other.sub("·", _digits.sub("0", _letters.sub("a", text[:_MAX_FORM_CHARACTERS])))


def calendar_form(line: str) -> str:
    """Return the form of a line of a calendar, with the names in it.

    Args:
        line: Such as `DTSTART;TZID=Europe/Berlin:20260131T093000`.

    Returns:
        Such as `DTSTART;TZID=a/a:0T0`.
    """
    head, _, value = line.partition(":")
    name, *parameters = head.split(";")
    # A quoted value may contain any of these separators.
    named = ((each, _parameter(each)) for each in parameters)
    shown = (f"{match[1]}={form_of(match[2])}" if match else form_of(each) for each, match in named)
    return f"{';'.join([name, *shown])}:{form_of(value)}"


def forms_of(texts: Iterable[str]) -> str:
    """Return the most frequent forms of texts.

    Args:
        texts: Cells, headers or names.
    """
    return most_frequent(map(form_of, texts))


def most_frequent(forms: Iterable[str]) -> str:
    """Return the most frequent ones of some forms.

    Args:
        forms: Of cells, or of anything else.
    """
    forms = Counter(forms)
    shown = [f"`{form}`" for form, _ in forms.most_common(_MAX_FORMS)]
    return ", ".join(shown) + (" and others" if len(forms) > _MAX_FORMS else "")


def describe(data_type: str, pairs: Pairs) -> str:
    """Return how Zoho writes a type's values in a CSV.

    Args:
        data_type: Zoho's.
        pairs: The cells, with the values in REST.
    """
    cells = [cell for cell, _ in pairs if cell]
    about = f"{len(cells)} values, {len(pairs) - len(cells)} empty"
    if not cells:
        return about
    filled = [(cell, value) for cell, value in pairs if cell and value not in (None, "", [])]
    match data_type:
        case "boolean":
            return f"{about}; {_words(cells)}"
        case "multiselectpicklist":
            return f"{about}; {_separators(filled)}"
        case "datetime":
            return f"{about}; {forms_of(cells)}; offsets {_offsets(cells)}; {_same_text(filled)}"
        case _ if data_type in _NUMBERS:
            return f"{about}; {forms_of(cells)}; {_same_number(filled)}"
        case _:
            return f"{about}; {forms_of(cells)}"


def _words(cells: Iterable[str]) -> str:
    words = sorted(
        f"`{cell}`" if cell.lower() in _WORDS else f"another text (`{form_of(cell)}`)"
        for cell in set(cells)
    )
    return ", ".join(words[:_MAX_FORMS])


def _separators(filled: Pairs) -> str:
    """Return what is between several values, which REST lists."""
    several = [(cell, value) for cell, value in filled if isinstance(value, list) and value[1:]]
    if not several:
        return "no record has several values, so the separator is unknown"
    found = Counter(_separator(cell, [str(each) for each in value]) for cell, value in several)
    listed = (
        "not found" if separator is None else f"`{separator}`"
        for separator, _ in found.most_common()
    )
    return f"separator of {len(several)} with several values: {', '.join(listed)}"


def _separator(cell: str, values: list[str]) -> str | None:
    """Return the separator that makes a cell of values, in REST's order; None if there is none."""
    start = len(values[0])
    separator = cell[start : cell.find(values[1], start)]
    is_plain = len(separator) <= _MAX_SEPARATOR_CHARACTERS and not any(map(str.isalnum, separator))
    return separator if is_plain and separator.join(values) == cell else None


def _offsets(cells: Iterable[str]) -> str:
    found = Counter(match and match[1] for match in map(_offset.search, cells))
    return ", ".join(
        f"`{offset}`" if offset else "none" for offset, _ in found.most_common(_MAX_FORMS)
    )


def _same_text(filled: Pairs) -> str:
    same = sum(cell == value for cell, value in filled)
    return f"{same} of {len(filled)} as in REST"


def _same_number(filled: Pairs) -> str:
    """Return whether numbers are those of REST: a percent could be a hundredth of it."""
    ratios: Counter[str] = Counter()
    for cell, value in filled:
        try:
            in_csv, in_rest = float(cell), float(value)
        except (TypeError, ValueError):
            ratios["not a number"] += 1
            continue
        if in_csv == in_rest:
            ratios["as in REST"] += 1
        elif in_rest:
            ratios[_ratio(in_csv / in_rest)] += 1
    return ", ".join(f"{count} {what}" for what, count in ratios.most_common()) or "none in REST"


def _ratio(ratio: float) -> str:
    for factor in (0.01, 100.0):
        if abs(ratio / factor - 1) < 1e-6:  # noqa: PLR2004 - rounding
            return f"{factor:g} times REST's"
    return "other than in REST"
