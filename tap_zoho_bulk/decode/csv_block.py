"""Blocks of a CSV: complete rows as bytes, which any CSV parser reads in the same way.

Parsers differ in what they make of irregular quotes. Whether quotes are regular is known without
parsing: outside a quoted cell, only a comma or a line's end is next to a quote.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_zoho_bulk.decode.csv_file import CsvBytes

BLOCK_BYTES = 1 << 20
_SEPARATORS = frozenset({b"", b",", b"\r", b"\n"})

_first_byte, _last_byte = itemgetter(slice(1)), itemgetter(slice(-1, None))


def take_block(raw: CsvBytes) -> bytes:
    """Return the next complete rows; none at the end, or if the next block is irregular.

    Args:
        raw: The bytes of a CSV, up to the beginning of a row. What is not returned is read again.
    """
    raw.allow(BLOCK_BYTES)
    data = raw.take(BLOCK_BYTES)
    end = _end_of_rows(data) if len(data) == BLOCK_BYTES else len(data)
    block = data[:end]
    if not _is_regular(block):
        end = 0
    raw.unread(data[end:])
    return block[:end]


def _end_of_rows(data: bytes) -> int:
    """Return where the last row ends, if each quote is a regular one; 0 if none ends."""
    end = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, end)
    while quotes % 2:  # The newline is in a quoted cell.
        before = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def _is_regular(block: bytes) -> bool:
    """Return whether the quotes of some rows only enclose cells, or are doubled within them.

    Between the quotes, each second part is outside quoted cells. It is empty where a quote is
    doubled, and has separators at both ends otherwise.
    """
    if block.startswith(BOM_UTF8):  # A parser may remove it.
        return False
    parts = block.split(b'"')
    outside = parts[::2]
    return (
        len(parts) % 2 == 1
        and _SEPARATORS.issuperset(map(_first_byte, outside[1:]))
        and _SEPARATORS.issuperset(map(_last_byte, outside[:-1]))
    )
