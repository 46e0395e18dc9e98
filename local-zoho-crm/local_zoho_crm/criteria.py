"""Criteria of a query: refused with Zoho's codes, or compiled to a predicate on records."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from local_zoho_crm.errors import ZohoError
from local_zoho_crm.schema import Field, Path

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Kind, Module, Record

    Test = Callable[[Record], bool]

EMPTY = "${EMPTY}"
MAX_CRITERIA = 25
# Zoho documents no limit; this one stays below Python's recursion limit.
MAX_DEPTH = 100
_MAX_TEXT_CHARACTERS = 255

_SAME = ("equal", "not_equal", "in", "not_in")
_ORDER = ("less_than", "less_equal", "greater_than", "greater_equal")
_SPAN = ("between", "not_between")
_PART = ("contains", "not_contains", "starts_with", "ends_with")
_LISTS = frozenset({"in", "not_in", *_SPAN})
_ALL = frozenset({*_SAME, *_ORDER, *_SPAN, *_PART})

_COMPARATORS: dict[Kind, tuple[str, ...]] = {
    "text": _SAME + _PART,
    "list": _SAME + _PART,
    "integer": _SAME + _ORDER,
    "bigint": _SAME + _ORDER,
    "number": _SAME + _ORDER,
    "date": _SAME + _SPAN + _ORDER,
    "datetime": _SAME + _SPAN + _ORDER,
    "boolean": ("equal",),
    "lookup": _SAME,
}

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})")
_INTEGER = re.compile(r"-?\d{1,19}")
_ID = Field("id", "bigint")


def compile_criteria(
    criteria: Any, organisation: Organisation, module: Module, *, version: int
) -> Test:
    """Compile criteria to a predicate on records.

    Raises:
        ZohoError: Zoho does not accept the criteria.
    """
    return _Compiler(organisation, module, version).compile(criteria)


class _Compiler:
    def __init__(self, organisation: Organisation, module: Module, version: int) -> None:
        self._organisation = organisation
        self._module = module
        # Version 2 names a field directly, later versions inside an object.
        self._field_key = "api_name" if version == 2 else "field"
        self._count = 0

    def compile(self, criteria: Any, depth: int = 0) -> Test:
        if not isinstance(criteria, dict) or not criteria:
            raise ZohoError("INVALID_CRITERIA")
        single = {self._field_key, "comparator", "value"}
        group = {"group", "group_operator"}
        if unknown := set(criteria) - single - group - {"type"}:
            raise ZohoError("INVALID_CRITERIA", unexpected=sorted(unknown))
        is_single, is_group = bool(single & set(criteria)), bool(group & set(criteria))
        if is_single and is_group:
            raise ZohoError("AMBIGUOUS_CRITERIA")
        if is_group:
            return self._group(criteria, depth)
        if missing := single - set(criteria):
            raise ZohoError("INVALID_CRITERIA", missing=sorted(missing))
        return self._single(criteria)

    def _group(self, criteria: dict[str, Any], depth: int) -> Test:
        operator, members = criteria.get("group_operator"), criteria.get("group")
        if operator not in ("and", "or"):
            raise ZohoError("GROUP_OPERATOR_NOT_SUPPORTED")
        if not isinstance(members, list) or not members:
            raise ZohoError("INVALID_CRITERIA")
        if depth >= MAX_DEPTH:
            raise ZohoError("INVALID_CRITERIA", "The criteria are nested too deeply.")
        tests = [self.compile(member, depth + 1) for member in members]
        if operator == "and":
            return lambda record: all(test(record) for test in tests)
        return lambda record: any(test(record) for test in tests)

    def _single(self, criteria: dict[str, Any]) -> Test:
        self._count += 1
        if self._count > MAX_CRITERIA:
            raise ZohoError("CRITERIA_LIMIT_EXCEEDED", max_limit=MAX_CRITERIA)
        path = self._path(criteria[self._field_key])
        comparator, value = criteria["comparator"], criteria["value"]
        kind = path.field.kind
        if kind == "textarea" or path.field.is_tag or not path.field.exportable:
            raise ZohoError("FIELD_IN_CRITERIA_NOT_SUPPORTED", api_name=path.name)
        if not isinstance(comparator, str) or comparator not in _ALL:
            raise ZohoError(
                "FIELD_COMPARATOR_IN_CRITERIA_NOT_SUPPORTED",
                api_name=path.name,
                comparator=comparator,
            )
        if comparator not in _COMPARATORS[kind]:
            raise ZohoError(
                "FIELD_AND_COMPARATOR_IN_CRITERIA_NOT_COMPATIBLE",
                api_name=path.name,
                comparator=comparator,
                supported=list(_COMPARATORS[kind]),
            )
        test = _value_test(path.field, comparator, value)
        organisation = self._organisation
        return lambda record: test(path.value(organisation, record))

    def _path(self, given: Any) -> Path:
        name = given
        if self._field_key == "field":
            if not isinstance(given, dict) or set(given) - {"api_name", "id"}:
                raise ZohoError("INVALID_CRITERIA", unexpected="field")
            name = given.get("api_name")
        if not isinstance(name, str):
            raise ZohoError("INVALID_CRITERIA", missing=["api_name"])
        if name == "id":
            return Path(name, _ID)
        path = self._organisation.path(self._module, name)
        if path is None:
            raise ZohoError(
                "FIELD_IN_CRITERIA_NOT_AVAILABLE", api_name=name, module=self._module.api_name
            )
        return path


def _value_test(field: Field, comparator: str, value: Any) -> Callable[[Any], bool]:
    """Return a predicate on a field's value. Text is compared case-insensitively."""
    given = value if isinstance(value, list) else [value]
    if isinstance(value, list) != (comparator in _LISTS) or (
        comparator in _SPAN and len(given) != 2
    ):
        raise ZohoError(
            "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
            api_name=field.api_name,
            comparator=comparator,
        )
    if EMPTY in given and comparator not in _SAME:
        raise ZohoError(
            "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
            api_name=field.api_name,
            comparator=comparator,
        )
    if not given:
        raise ZohoError("VALUE_IN_CRITERIA_NOT_SUPPORTED", api_name=field.api_name)
    wanted = [None if each == EMPTY else _parse(field, each) for each in given]
    negated = comparator.startswith("not_")
    positive = _positive_test(comparator.removeprefix("not_"), wanted)
    return lambda found: positive(_comparable(field, found)) != negated


def _positive_test(comparator: str, wanted: list[Any]) -> Callable[[Any], bool]:
    first, last = wanted[0], wanted[-1]
    tests: dict[str, Callable[[Any], bool]] = {
        "equal": lambda found: found == first,
        "in": lambda found: found in wanted,
        "less_than": lambda found: found is not None and found < first,
        "less_equal": lambda found: found is not None and found <= first,
        "greater_than": lambda found: found is not None and found > first,
        "greater_equal": lambda found: found is not None and found >= first,
        "between": lambda found: found is not None and first <= found <= last,
        "contains": lambda found: found is not None and first in found,
        "starts_with": lambda found: found is not None and found.startswith(first),
        "ends_with": lambda found: found is not None and found.endswith(first),
    }
    return tests[comparator]


def _comparable(field: Field, found: Any) -> Any:
    if found is None:
        return False if field.kind == "boolean" else None
    match field.kind:
        case "text":
            return str(found).casefold()
        case "list":
            return ";".join(found).casefold()
        case "bigint":
            return int(found)
        case _:
            return found


def _parse(field: Field, value: Any) -> Any:
    """Parse a value as the field's type; milliseconds and missing offsets are refused."""
    if value is None or isinstance(value, (dict, list)):
        raise ZohoError("VALUE_TYPE_NOT_SUPPORTED", api_name=field.api_name)
    text = str(value)
    if field.kind == "boolean" and text.lower() not in ("true", "false"):
        raise _incompatible(field, "boolean")
    match field.kind:
        case "boolean":
            return text.lower() == "true"
        case "integer" | "bigint" | "lookup" if not _INTEGER.fullmatch(text):
            raise _incompatible(field, field.kind)
        case "integer" | "bigint":
            return int(text)
        case "lookup":
            return text
        case "number":
            return _parse_number(field, text)
        case "date" | "datetime" as kind:
            return _parse_time(field, kind, text)
        case _:
            return _parse_text(field, text)


def _parse_text(field: Field, text: str) -> str:
    if len(text) > _MAX_TEXT_CHARACTERS:
        raise ZohoError(
            "VALUE_LIMIT_EXCEEDED_IN_CRITERIA",
            api_name=field.api_name,
            max_limit=_MAX_TEXT_CHARACTERS,
        )
    return text.casefold()


def _parse_number(field: Field, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _incompatible(field, "double") from None
    if not number.is_finite():
        raise _incompatible(field, "double")
    return number


def _parse_time(field: Field, kind: str, text: str) -> date:
    pattern = _DATE if kind == "date" else _DATETIME
    if pattern.fullmatch(text):
        try:
            if kind == "date":
                return date.fromisoformat(text)
            return datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            pass
    raise _incompatible(field, kind)


def _incompatible(field: Field, expected: str) -> ZohoError:
    return ZohoError(
        "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        api_name=field.api_name,
        expected_data_type=expected,
    )
