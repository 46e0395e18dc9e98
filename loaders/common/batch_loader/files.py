"""The files that BATCH messages name.

Invariant: a file is removed only after its records are committed.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("jsonl", "parquet")


class LoadError(Exception):
    """A file cannot be loaded."""


@contextmanager
def batch_file(stream: str, url: str, *, file_format: str, keep: bool) -> Iterator[Path]:
    """Yield the path of a file, and remove the file if the block has committed its records.

    Args:
        stream: Name of the stream.
        url: Of the file.
        file_format: Of the file.
        keep: Whether the file stays.

    Raises:
        LoadError: When the file cannot be loaded.
    """
    try:
        path = _path(url, file_format)
        yield path
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise LoadError(
            f"{stream}: {url} cannot be loaded: {reason}. Nothing of it was stored, and the state "
            "has not moved past it, so the next run reads its records again."
        ) from error
    if not keep:
        path.unlink()


def _path(url: str, file_format: str) -> Path:
    parts = urlsplit(url)
    path = Path(url2pathname(parts.path))
    if file_format not in FORMATS:
        raise LoadError(f"its format is {file_format}; it must be {' or '.join(FORMATS)}")
    if parts.scheme not in ("", "file"):
        raise LoadError("it is not on this machine; set `batch_config.storage.root` to file:///…")
    if not path.is_file():
        raise LoadError("it does not exist")
    return path
