"""Criteria: Zoho's JSON that filters an export, checked before a job is paid for.

Invariant: the checks reject only what Zoho's documentation rules out. Zoho decides everything else.

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
MAX_CRITERIA = 25
_MAX_LEVELS = 25  # 25 criteria need no deeper nesting.
_MAX_TEXT_CHARACTERS = 255

_SAME = ("equal", "not_equal", "in", "not_in")
_ORDER = ("less_than", "less_equal", "greater_than", "greater_equal")
_RANGE = ("between", "not_between")
_SUBSTRING = ("contains", "not_contains", "starts_with", "ends_with")
_LISTS = ("in", "not_in", *_RANGE)
_ALL = (*_SAME, *_ORDER, *_RANGE, *_SUBSTRING)


@dataclass(frozen=True)
class CriteriaProblem:
    """A problem in criteria.

    Args:
        message: The problem in words.
        path: The keys from the criteria to the problem.
    """

    message: str
    path: Path = ()

    def at(self, module: str) -> str:
        """Return the message with its place in the settings.

        Args:
            module: API name of the module that the criteria belong to.
        """
        place = "".join(f"[{key!r}]" for key in self.path)
        return f"{self.message}, in config['module_options'][{module!r}]['criteria']{place}"


# Structure

_SCALAR = {"type": ["string", "number", "boolean"]}
_NO_EMPTY = {"not": {"const": EMPTY}}


def _values_of(comparators: Collection[str], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that applies to the values of some comparators only."""
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
        "if": {"required": ["api_name"]},  # how version 2 of the API names a field
        "then": {"not": {"required": ["field"]}},
        "else": {"required": ["field"]},
        "allOf": [
            _values_of(_LISTS, {"type": "array", "minItems": 1, "items": _SCALAR}),
            _values_of(_RANGE, {"minItems": 2, "maxItems": 2}),
            _values_of(set(_ALL) - set(_LISTS), _SCALAR),
            _values_of(
                set(_ALL) - set(_SAME),
                {**_NO_EMPTY, "if": {"type": "array"}, "then": {"items": _NO_EMPTY}},
            ),
        ],
    },
}
_STRUCTURE = Draft202012Validator(_SCHEMA)


def structure_problem(criteria: Any) -> CriteriaProblem | None:
    """Return the first structural problem of criteria; None if there is none.

    Args:
        criteria: The criteria as in the settings.
    """
    if _levels(criteria) > _MAX_LEVELS:
        return CriteriaProblem(f"groups are nested more than {_MAX_LEVELS} levels deep")
    error = best_match(_STRUCTURE.iter_errors(criteria))
    if error is not None:
        return CriteriaProblem(_message(error), tuple(error.absolute_path))
    number = count_criteria(criteria)
    if number > MAX_CRITERIA:
        return CriteriaProblem(f"{number} criteria exceed Zoho's limit of {MAX_CRITERIA}")
    return None


def count_criteria(criteria: dict[str, Any]) -> int:
    """Return the number of single criteria in all groups.

    Args:
        criteria: Criteria without structural problems.
    """
    return sum(1 for _ in _leaves(criteria))


def fields_of(criteria: dict[str, Any]) -> Iterator[str]:
    """Yield the field of each single criterion in all groups.

    Args:
        criteria: Criteria without structural problems.
    """
    return (_field(criterion)[0] for criterion, _ in _leaves(criteria))


def _field(criterion: dict[str, Any]) -> tuple[str, Path]:
    """Return the field of a single criterion, and where in it that stands."""
    if "field" in criterion:
        return criterion["field"]["api_name"], ("field", "api_name")
    return criterion["api_name"], ("api_name",)


def _levels(criteria: Any) -> int:
    """Return the depth of nested groups, in a loop: settings may nest beyond Python's limit."""
    depth, pending = 0, deque([(criteria, 1)])
    while pending:
        node, level = pending.pop()
        depth = max(depth, level)
        group = node.get("group") if isinstance(node, dict) else None
        pending.extend((part, level + 1) for part in (group if isinstance(group, list) else ()))
    return depth


def _message(error: ValidationError) -> str:
    if error.validator == "not" and error.instance == EMPTY:
        return f"{EMPTY!r} is supported only with {', '.join(_SAME)}"
    if error.validator == "not":
        return "`field` and `api_name` both name the field"
    return error.message


def _leaves(criteria: dict[str, Any], path: Path = ()) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield each single criterion, and the keys that lead to it."""
    if "group" not in criteria:
        yield criteria, path
        return
    for place, part in enumerate(criteria["group"]):
        yield from _leaves(part, (*path, "group", place))


# Types


@dataclass(frozen=True)
class _Rules:
    """The comparators and values that Zoho accepts for fields of a type."""

    comparators: tuple[str, ...]
    value: str  # a valid value in words
    fits: Callable[[Any], bool]


def type_problems(
    criteria: dict[str, Any], properties: Mapping[str, Mapping[str, Any]]
) -> Iterator[CriteriaProblem]:
    """Yield criteria that do not fit the types of the module's fields.

    Fields of parent records are not checked, and no field is if the catalog records no types.

    Args:
        criteria: Criteria without structural problems.
        properties: JSON Schemas of the module's properties, by name.
    """
    own = {name: each for name, each in properties.items() if path_of(each) is None}
    if not any(map(zoho_type, own.values())):
        return
    for criterion, path in _leaves(criteria):
        name, inside = _field(criterion)
        place = (*path, *inside)
        if name in own:
            yield from _problems(criterion, path, place, name, own[name])
        elif not _is_unlisted(name):
            yield CriteriaProblem(f"the catalog has no field {_unknown(name, properties)}", place)


def _problems(
    criterion: dict[str, Any], path: Path, place: Path, name: str, schema: Mapping[str, Any]
) -> Iterator[CriteriaProblem]:
    data_type = zoho_type(schema)
    field = f"`{name}` ({data_type})"
    if data_type == "textarea":
        yield CriteriaProblem(
            f"Zoho does not support criteria on multi-line text fields such as {field}", place
        )
    rules = _rules(data_type, schema)
    if rules is None:
        return
    comparator, value = criterion["comparator"], criterion["value"]
    if comparator not in rules.comparators:
        yield CriteriaProblem(
            f"{comparator!r} is not a comparator for {field}, which supports "
            f"{', '.join(rules.comparators)}",
            (*path, "comparator"),
        )
        return
    several = isinstance(value, list)
    for number, each in enumerate(value if several else [value]):
        if not _is_variable(each) and not rules.fits(each):
            yield CriteriaProblem(
                f"{each!r} is not {rules.value}, as {field} requires",
                (*path, "value", number) if several else (*path, "value"),
            )


def _rules(data_type: str | None, schema: Mapping[str, Any]) -> _Rules | None:
    """Return the rules for a type; None if Zoho does not document them."""
    if data_type in {"formula", "rollup_summary"}:
        types = schema.get("type", ())
        computed = [schema.get("format"), *([types] if isinstance(types, str) else types)]
        data_type = next((_COMPUTED[each] for each in computed if each in _COMPUTED), None)
    return _RULES.get(data_type or "")


def _is_unlisted(name: str) -> bool:
    """Return whether a field is missing from all metadata, or belongs to another module."""
    return "." in name or name.startswith("$") or name in {"id", "Id"}


def _unknown(name: str, properties: Mapping[str, Mapping[str, Any]]) -> str:
    path = path_of(properties.get(name, {}))
    close = [path] if path else get_close_matches(name, properties, 1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"`{name}` ({hint}rerun discovery if the field is new)"


def _is_variable(value: Any) -> bool:
    """Return whether a value is a variable that Zoho replaces, such as `${EMPTY}`."""
    return isinstance(value, str) and value.startswith("${") and value.endswith("}")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_integer_text = re.compile(r"-?[0-9]{1,19}").fullmatch
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


_INTEGER = _Rules(_SAME + _ORDER, "a whole number", lambda value: bool(_integer_text(_text(value))))
_NUMBER = _Rules(_SAME + _ORDER, "a number", lambda value: bool(_number_text(_text(value))))
_DATE = _Rules(_SAME + _ORDER + _RANGE, "a date such as 2026-01-31", _is_date)
_DATETIME = _Rules(
    _SAME + _ORDER + _RANGE,
    "a date-time such as 2026-01-31T12:00:00+00:00, without fractions of a second",
    _is_datetime,
)
_BOOLEAN = _Rules(
    ("equal",), "true or false", lambda value: _text(value).lower() in {"true", "false"}
)
_TEXT = _Rules(
    _SAME + _SUBSTRING,
    f"a text of at most {_MAX_TEXT_CHARACTERS} characters",
    lambda value: len(_text(value)) <= _MAX_TEXT_CHARACTERS,
)
_LOOKUP = _Rules(_SAME, "a record's id", lambda value: bool(_id_text(_text(value))))

_RULES = {
    **dict.fromkeys(("integer", "bigint"), _INTEGER),
    **dict.fromkeys(("double", "currency", "percent", "decimal"), _NUMBER),
    "date": _DATE,
    "datetime": _DATETIME,
    "boolean": _BOOLEAN,
    **dict.fromkeys(
        ("text", "email", "phone", "website", "picklist", "multiselectpicklist"), _TEXT
    ),
    **dict.fromkeys(LOOKUPS, _LOOKUP),
}
# The catalog records only the JSON type that a formula returns.
_COMPUTED = {
    "date": "date",
    "date-time": "datetime",
    "integer": "integer",
    "number": "double",
    "boolean": "boolean",
}
