"""Criteria: Zoho's JSON for which records to export, checked before a job is paid for.

Invariant: what is refused here Zoho's documentation rules out; what it leaves open goes to Zoho.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/create-job.html
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.crm.related_fields import LOOKUPS, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from jsonschema.exceptions import ValidationError

    Path = tuple[str | int, ...]

EMPTY = "${EMPTY}"
MOST_CRITERIA = 25
_MOST_LEVELS = 25  # So many groups can hold so many criteria; more are a mistake.
_LONGEST_TEXT = 255

_SAME = ("equal", "not_equal", "in", "not_in")
_ORDER = ("less_than", "less_equal", "greater_than", "greater_equal")
_SPAN = ("between", "not_between")
_PART = ("contains", "not_contains", "starts_with", "ends_with")
_LISTS = ("in", "not_in", *_SPAN)
_ALL = (*_SAME, *_ORDER, *_SPAN, *_PART)


@dataclass(frozen=True)
class Problem:
    """What is wrong with criteria.

    Args:
        message: In words.
        path: The keys that lead to the place, from the criteria on.
    """

    message: str
    path: Path = ()

    def at(self, module: str) -> str:
        """Say it with the place in the settings.

        Args:
            module: API name of the module whose criteria they are.
        """
        place = "".join(f"[{key!r}]" for key in self.path)
        return f"{self.message} in config['module_options'][{module!r}]['criteria']{place}"


# Structure

_SCALAR = {"type": ["string", "number", "boolean"]}
_NO_EMPTY = {"not": {"const": EMPTY}}


def _values_of(comparators: Collection[str], schema: dict[str, Any]) -> dict[str, Any]:
    """Demand something of the values of some comparators."""
    return {
        "if": {
            "required": ["comparator"],
            "properties": {"comparator": {"enum": sorted(comparators)}},
        },
        "then": {"properties": {"value": schema}},
    }


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "if": {"anyOf": [{"required": ["group"]}, {"required": ["group_operator"]}]},
    "then": {
        "required": ["group", "group_operator"],
        "properties": {
            "group": {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
            "group_operator": {"enum": ["and", "or"]},
            "type": True,
        },
        "additionalProperties": False,
    },
    "else": {
        "required": ["comparator", "value"],
        "properties": {
            "field": {
                "type": "object",
                "required": ["api_name"],
                "properties": {"api_name": {"type": "string", "minLength": 1}, "id": True},
                "additionalProperties": False,
            },
            "api_name": {"type": "string", "minLength": 1},
            "comparator": {"enum": [*_ALL]},
            "value": True,
            "type": True,
        },
        "additionalProperties": False,
        "if": {"required": ["api_name"]},  # as version 2 of the API names a field
        "then": {"not": {"required": ["field"]}},
        "else": {"required": ["field"]},
        "allOf": [
            _values_of(_LISTS, {"type": "array", "minItems": 1, "items": _SCALAR}),
            _values_of(_SPAN, {"minItems": 2, "maxItems": 2}),
            _values_of(set(_ALL) - set(_LISTS), _SCALAR),
            _values_of(
                set(_ALL) - set(_SAME),
                {**_NO_EMPTY, "if": {"type": "array"}, "then": {"items": _NO_EMPTY}},
            ),
        ],
    },
}
_STRUCTURE = Draft202012Validator(_SCHEMA)


def structure_problem(criteria: Any) -> Problem | None:
    """Find what is wrong with the form of criteria, whatever the fields are.

    Args:
        criteria: As the settings hold them.
    """
    if _levels(criteria) > _MOST_LEVELS:
        return Problem(f"groups inside groups are more than {_MOST_LEVELS} deep")
    error = best_match(_STRUCTURE.iter_errors(criteria))
    if error is not None:
        return Problem(_words(error), tuple(error.absolute_path))
    number = count(criteria)
    if number > MOST_CRITERIA:
        return Problem(f"{number} criteria are more than the {MOST_CRITERIA} that Zoho takes")
    return None


def count(criteria: dict[str, Any]) -> int:
    """Count the criteria, whatever groups they are in.

    Args:
        criteria: Of good structure.
    """
    return sum(1 for _ in _leaves(criteria))


def _levels(criteria: Any) -> int:
    """Count how deep groups are, in a loop: the settings may nest deeper than Python recurses."""
    deepest, waiting = 0, deque([(criteria, 1)])
    while waiting:
        node, level = waiting.pop()
        deepest = max(deepest, level)
        group = node.get("group") if isinstance(node, dict) else None
        waiting.extend((part, level + 1) for part in (group if isinstance(group, list) else ()))
    return deepest


def _words(error: ValidationError) -> str:
    if error.validator == "not" and error.instance == EMPTY:
        return f"{EMPTY!r} goes with {', '.join(_SAME)} only, "
    if error.validator == "not":
        return "`field` and `api_name` name the field twice,"
    return error.message


def _leaves(criteria: dict[str, Any], path: Path = ()) -> Iterator[tuple[dict[str, Any], Path]]:
    """Give each single criterion and the way to it."""
    if "group" not in criteria:
        yield criteria, path
        return
    for place, part in enumerate(criteria["group"]):
        yield from _leaves(part, (*path, "group", place))


# Types


@dataclass(frozen=True)
class _Kind:
    """What Zoho takes for fields of some types."""

    comparators: tuple[str, ...]
    value: str  # in words
    fits: Callable[[Any], bool]


def type_problems(
    criteria: dict[str, Any], properties: Mapping[str, Mapping[str, Any]]
) -> Iterator[Problem]:
    """Find what does not go with the module's fields, as far as the catalog tells their types.

    Fields that are reached through a lookup are left to Zoho, and all are where a catalog tells
    no types.

    Args:
        criteria: Of good structure.
        properties: JSON Schemas of the module's properties, by name.
    """
    own = {name: each for name, each in properties.items() if path_of(each) is None}
    if not any(map(zoho_type, own.values())):
        return
    for criterion, path in _leaves(criteria):
        key = "field" if "field" in criterion else "api_name"
        name = criterion["field"]["api_name"] if key == "field" else criterion["api_name"]
        place = (*path, key, "api_name") if key == "field" else (*path, key)
        if name in own:
            yield from _problems(criterion, path, place, name, own[name])
        elif not _is_unlisted(name):
            yield Problem(f"there is no field {_unknown(name, properties)}", place)


def _problems(
    criterion: dict[str, Any], path: Path, place: Path, name: str, schema: Mapping[str, Any]
) -> Iterator[Problem]:
    data_type = zoho_type(schema)
    field = f"`{name}` ({data_type})"
    if data_type == "textarea":
        yield Problem(
            f"Zoho takes no criteria on text of several lines, and {field} is such", place
        )
    kind = _kind(data_type, schema)
    if kind is None:
        return
    comparator, value = criterion["comparator"], criterion["value"]
    if comparator not in kind.comparators:
        yield Problem(
            f"{comparator!r} is no comparator for {field}, which takes "
            f"{', '.join(kind.comparators)},",
            (*path, "comparator"),
        )
        return
    several = isinstance(value, list)
    for number, each in enumerate(value if several else [value]):
        if not _is_variable(each) and not kind.fits(each):
            yield Problem(
                f"{each!r} is no {kind.value}, as {field} needs",
                (*path, "value", number) if several else (*path, "value"),
            )


def _kind(data_type: str | None, schema: Mapping[str, Any]) -> _Kind | None:
    """Give what goes with a type; None where only Zoho knows."""
    if data_type in {"formula", "rollup_summary"}:
        types = schema.get("type", ())
        computed = [schema.get("format"), *([types] if isinstance(types, str) else types)]
        data_type = next((_COMPUTED[each] for each in computed if each in _COMPUTED), None)
    return _KINDS.get(data_type or "")


def _is_unlisted(name: str) -> bool:
    """Tell whether a field is one that metadata lists nowhere, or another module's."""
    return "." in name or name.startswith("$") or name in {"id", "Id"}


def _unknown(name: str, properties: Mapping[str, Mapping[str, Any]]) -> str:
    path = path_of(properties.get(name, {}))
    close = [path] if path else get_close_matches(name, properties, 1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"`{name}` in the catalog ({hint}discover it again if the field is new),"


def _is_variable(value: Any) -> bool:
    """Tell whether a value stands for another one that Zoho knows, as `${EMPTY}` does."""
    return isinstance(value, str) and value.startswith("${") and value.endswith("}")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_whole_text = re.compile(r"-?[0-9]{1,19}").fullmatch
_number_text = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_id_text = re.compile(r"[0-9]{1,19}").fullmatch
_date_text = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_datetime_text = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})"
).fullmatch


def _is_date(value: Any) -> bool:
    return _is_time(value, _date_text, date.fromisoformat)


def _is_datetime(value: Any) -> bool:
    return _is_time(value, _datetime_text, datetime.fromisoformat)


def _is_time(value: Any, form: Callable[[str], Any], read: Callable[[str], Any]) -> bool:
    if not isinstance(value, str) or not form(value):
        return False
    try:
        read(value.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


_WHOLE = _Kind(_SAME + _ORDER, "whole number", lambda value: bool(_whole_text(_text(value))))
_NUMBER = _Kind(_SAME + _ORDER, "number", lambda value: bool(_number_text(_text(value))))
_DATE = _Kind(_SAME + _ORDER + _SPAN, "day such as 2026-01-31", _is_date)
_DATETIME = _Kind(
    _SAME + _ORDER + _SPAN,
    "date-time such as 2026-01-31T12:00:00+00:00, without fractions of a second",
    _is_datetime,
)
_BOOLEAN = _Kind(
    ("equal",), "true or false", lambda value: _text(value).lower() in {"true", "false"}
)
_TEXT = _Kind(
    _SAME + _PART,
    f"text of {_LONGEST_TEXT} characters at most",
    lambda value: len(_text(value)) <= _LONGEST_TEXT,
)
_LOOKUP = _Kind(_SAME, "record's id", lambda value: bool(_id_text(_text(value))))

_KINDS = {
    **dict.fromkeys(("integer", "bigint"), _WHOLE),
    **dict.fromkeys(("double", "currency", "percent", "decimal"), _NUMBER),
    "date": _DATE,
    "datetime": _DATETIME,
    "boolean": _BOOLEAN,
    **dict.fromkeys(
        ("text", "email", "phone", "website", "picklist", "multiselectpicklist"), _TEXT
    ),
    **dict.fromkeys(LOOKUPS, _LOOKUP),
}
# Of what a formula returns, the catalog has the JSON type.
_COMPUTED = {
    "date": "date",
    "date-time": "datetime",
    "integer": "integer",
    "number": "double",
    "boolean": "boolean",
}
