"""Folders in object storage: a fleet's, and each organisation's in it.

Invariant: an object is never overwritten, but `latest.json`, `fleet.html` and what a person puts
there. What changes has a number, each change creates the object of a higher one, and the highest
that is complete counts. So an object that is cut off hides nothing, and the storage itself decides
who of two writers was first.

Source: https://developmentseed.org/obstore/latest/
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obstore import Attributes
    from obstore.store import ObjectStore

_REQUEST_SECONDS = 20
_RETRY_SECONDS = 60
_DIGITS = 12
ORGANISATIONS = "organisations"
"""The folder of all organisations' folders."""
_SCHEMES = ("s3", "s3a", "gs", "az", "adl", "abfs", "abfss", "file")


class StorageError(Exception):
    """Object storage cannot be reached, or refuses what is asked."""


class Folder:
    """A fleet's folder in object storage, or that of one of its organisations.

    Args:
        url: The fleet's, such as `s3://bucket/fleet`, `gs://…`, `az://…` or `file:///…`.
        organisation: The organisation's name; None for the fleet's folder.
        options: Options of obstore's store, such as `access_key_id`; by default those of the
            environment, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`.

    Each method raises StorageError if the storage fails.

    Raises:
        ValueError: If the URL or the options are wrong.
    """

    def __init__(
        self, url: str, organisation: str | None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.url = url.rstrip("/")
        if organisation is not None:
            self.url += f"/{ORGANISATIONS}/{organisation}"
        self._store = open_store(self.url, options)

    def read(self, path: str, max_bytes: int | None = None) -> bytes | None:
        """Return the content of an object; None if there is none.

        Args:
            path: Its path in this folder.
            max_bytes: What is returned of a longer object, from its beginning.
        """
        with self._errors(f"read {path}"):
            try:
                response = obstore.get(self._store, path)
            except FileNotFoundError:
                return None
            if max_bytes is None:
                return bytes(response.bytes())
            # Not a range: S3 refuses each range of an empty object.
            first = next(iter(response.stream(min_chunk_size=max_bytes)), b"")
            return bytes(first)[:max_bytes]

    def read_json(self, path: str) -> Any:
        """Return the parsed content of an object; None if there is none, or it is cut off.

        Args:
            path: Its path in this folder.
        """
        try:
            return json.loads(self.read(path) or b"null")
        except (ValueError, RecursionError):
            return None

    def write(self, path: str, content: bytes, content_type: str | None = None) -> None:
        """Create or overwrite an object.

        Args:
            path: Its path in this folder.
            content: What it contains afterwards.
            content_type: Its type, as browsers need it. A local file has none.
        """
        attributes: Attributes = {}
        if content_type is not None and not isinstance(self._store, LocalStore):
            attributes["Content-Type"] = content_type
        with self._errors(f"write {path}"):
            obstore.put(self._store, path, content, attributes=attributes)

    def create(self, path: str, content: bytes) -> bool:
        """Create an object, and return whether this call did: not if it was there already.

        A request whose response was lost is retried, so an object may be this call's although it
        returns False.

        Args:
            path: Its path in this folder.
            content: What it contains afterwards.
        """
        with self._errors(f"create {path}"):
            try:
                obstore.put(self._store, path, content, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def numbers(self, folder: str) -> list[int]:
        """Return the numbers of the objects in a folder, the lowest first.

        Args:
            folder: Its path in this folder.
        """
        names = (path.rpartition("/")[2].partition(".") for path in self.paths(folder))
        return sorted(int(name) for name, _, kind in names if kind == "json" and name.isdecimal())

    def paths(self, folder: str) -> list[str]:
        """Return the paths of the objects in a folder.

        Args:
            folder: Its path in this folder.
        """
        with self._errors(f"list {folder}"):
            return [each["path"] for part in obstore.list(self._store, folder) for each in part]

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted.

        Args:
            folder: Its path in this folder.
        """
        with self._errors(f"list {folder}"):
            found = obstore.list_with_delimiter(self._store, folder)["common_prefixes"]
        return sorted(path.rpartition("/")[2] for path in found)

    def remove(self, paths: list[str]) -> None:
        """Remove objects, as far as they are there.

        Args:
            paths: Their paths in this folder.
        """
        with self._errors(f"remove {', '.join(paths)}"), suppress(FileNotFoundError):
            if paths:
                obstore.delete(self._store, paths)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise StorageError(f"Could not {what} in {self.url}: {_first_line(error)}") from error


def numbered(folder: str, number: int) -> str:
    """Return the path of a numbered object.

    Args:
        folder: Its folder.
        number: Its number.
    """
    return f"{folder}/{number:0{_DIGITS}}.json"


def open_store(url: str, options: Mapping[str, Any] | None) -> ObjectStore:
    """Return obstore's store of a URL, in which each request has a deadline.

    Args:
        url: Of a folder.
        options: See `Folder`.

    Raises:
        ValueError: If the URL or the options are wrong.
    """
    options = dict(options or {})
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        # Others have no conditional put, such as WebDAV, or end with the process, such as memory.
        raise ValueError(
            f"The storage must be a URL that begins with one of {', '.join(_SCHEMES)} and ://; a "
            "folder on this machine is file:// and its absolute path."
        )
    if scheme == "file":
        options.setdefault("mkdir", True)
    else:
        # As other clients of S3 do, connect without TLS if the user's endpoint is so.
        endpoint = str(options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL", ""))
        options["client_options"] = {
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
            "allow_http": endpoint.startswith("http:"),
            **options.get("client_options", {}),
        }
        options.setdefault("retry_config", {"retry_timeout": timedelta(seconds=_RETRY_SECONDS)})
    try:
        return from_url(url, **options)
    except Exception as error:
        raise ValueError(f"The storage {url} cannot be used: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return what an error says. On further lines, obstore prints its structures.

    Args:
        error: Of obstore.
    """
    return str(error).partition("\n")[0]
