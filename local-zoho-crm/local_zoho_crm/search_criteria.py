"""Criteria in the form of URLs: `((Last_Name:equals:Boyle)and(Email:starts_with:p))`."""

from __future__ import annotations

import re
from typing import Any

from local_zoho_crm.errors import ZohoError

_TOKEN = re.compile(r"\(|\)|and|or|[^():\\]+:[a-z_]+:(?:\\.|[^()\\])*")
_LISTS = frozenset({"in", "not_in", "between", "not_between"})


def parse_search(text: str) -> dict[str, Any]:
    """Convert criteria of a URL to those of a bulk read query.

    Raises:
        ZohoError: The criteria are not well formed.
    """
    tokens = _tokens(text)
    try:
        criteria = _group(tokens)
    except RecursionError:
        raise _invalid() from None
    if tokens:
        raise _invalid()
    return criteria


def _tokens(text: str) -> list[str]:
    """Return the tokens in reverse order."""
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _invalid()
        tokens.append(match[0])
        at = match.end()
    return tokens[::-1]


def _group(tokens: list[str]) -> dict[str, Any]:
    _expect(tokens, "(")
    if tokens and ":" in tokens[-1]:
        single = _single(tokens.pop())
        _expect(tokens, ")")
        return single
    members, operators = [_group(tokens)], set()
    while tokens and tokens[-1] in ("and", "or"):
        operators.add(tokens.pop())
        members.append(_group(tokens))
    _expect(tokens, ")")
    if len(members) == 1:
        return members[0]
    if len(operators) != 1:
        raise _invalid()
    return {"group_operator": operators.pop(), "group": members}


def _single(text: str) -> dict[str, Any]:
    name, comparator, value = text.split(":", 2)
    parts = [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\),", value)]
    return {
        "field": {"api_name": name},
        "comparator": "equal" if comparator == "equals" else comparator,
        "value": parts if comparator in _LISTS else ",".join(parts),
    }


def _expect(tokens: list[str], token: str) -> None:
    if not tokens or tokens.pop() != token:
        raise _invalid()


def _invalid() -> ZohoError:
    return ZohoError("INVALID_QUERY", "invalid query formed", api_name="criteria")
