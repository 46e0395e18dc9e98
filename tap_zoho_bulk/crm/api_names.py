"""API names: what Zoho calls modules and fields in its API, whatever their labels are; typos."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_letters_digits_underscores = re.compile(r"\w+").fullmatch


def is_api_name(text: str) -> bool:
    """Return whether a text can be an API name, and so a part of a URL or of a file's name.

    Args:
        text: From Zoho, or from a catalog.
    """
    return _letters_digits_underscores(text) is not None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question about the known name that is most like another one; "" if none is.

    Args:
        name: As a user wrote it.
        known: The names that there are.
    """
    by_lower = {each.lower(): each for each in known}
    similar = get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean `{by_lower[similar[0]]}`?" if similar else ""
