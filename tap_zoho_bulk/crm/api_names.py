"""API names: what Zoho calls modules and fields in its API, whatever their labels are."""

from __future__ import annotations

import re

_letters_digits_underscores = re.compile(r"\w+").fullmatch


def is_api_name(text: str) -> bool:
    """Return whether a text can be an API name, and so a part of a URL or of a file's name.

    Args:
        text: From Zoho, or from a catalog.
    """
    return _letters_digits_underscores(text) is not None
