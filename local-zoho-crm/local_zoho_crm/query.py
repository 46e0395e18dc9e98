"""The body of a bulk read request: parsed, checked as Zoho does, and converted to a query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local_zoho_crm.criteria import compile_criteria
from local_zoho_crm.errors import ZohoError
from local_zoho_crm.schema import Path

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_zoho_crm.organisation import Organisation
    from local_zoho_crm.schema import Module, Record

MAX_PAGES = 500
MAX_FIELDS = 200
MAX_JOINS = 10
"""Zoho documents the code JOIN_LIMIT_EXCEEDED and not the number."""

_BODY_KEYS = frozenset({"callback", "query", "file_type"})
_QUERY_KEYS = frozenset({"module", "fields", "cvid", "page", "criteria", "file_type"})


@dataclass(frozen=True)
class BulkRequest:
    """A request to create a job: a query, or the token of a query's next page."""

    callback: dict[str, Any] | None
    query: BulkQuery | None
    page_token: str | None = None


@dataclass(frozen=True)
class BulkQuery:
    """What a job exports."""

    module: Module
    paths: tuple[Path, ...]
    keep: Callable[[Record], bool]
    page: int
    file_type: str
    given: dict[str, Any]

    def echo(self, page: int) -> dict[str, Any]:
        """Return the query as the job's details repeat it."""
        module = {"id": self.module.id, "api_name": self.module.api_name}
        return {**self.given, "module": module, "page": page}


def read_request(
    body: bytes, organisation: Organisation, *, version: int, page_tokens: bool
) -> BulkRequest:
    """Parse the body of a request to create a job.

    Raises:
        ZohoError: Zoho would refuse the request.
    """
    content = _json(body)
    if unknown := set(content) - _BODY_KEYS:
        raise ZohoError("REQUEST_BODY_NOT_SUPPORTED", unexpected=sorted(unknown))
    callback = _callback(content.get("callback"))
    query = content.get("query")
    if not isinstance(query, dict) or not query:
        raise ZohoError("QUERY_NOT_SUPPORTED", message="The query is missing or no object.")
    if "page_token" in query and page_tokens:
        if set(query) != {"page_token"} or not isinstance(query["page_token"], str):
            raise ZohoError("QUERY_NOT_SUPPORTED", "Only page_token may stand in the query.")
        if "file_type" in content:
            raise ZohoError("REQUEST_BODY_NOT_SUPPORTED", unexpected=["file_type"])
        return BulkRequest(callback, None, query["page_token"])
    if unknown := set(query) - _QUERY_KEYS:
        raise ZohoError("QUERY_NOT_SUPPORTED", unexpected=sorted(unknown))
    file_type = content.get("file_type", query.get("file_type", "csv"))
    reader = _QueryReader(organisation, query, version)
    return BulkRequest(callback, reader.read(file_type, page_tokens=page_tokens))


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise ZohoError("REQUEST_BODY_IS_EMPTY")
    try:
        content = json.loads(body)
        # Python parses NaN, infinity and lone surrogates, but no response can repeat them.
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise ZohoError("REQUEST_BODY_NOT_READABLE") from None
    if not isinstance(content, dict):
        raise ZohoError("REQUEST_BODY_NOT_READABLE")
    return content


def _callback(callback: Any) -> dict[str, Any] | None:
    if callback is None:
        return None
    if not isinstance(callback, dict) or set(callback) - {"url", "method"}:
        raise ZohoError("REQUEST_BODY_NOT_SUPPORTED", unexpected=["callback"])
    if callback.get("method") != "post":
        raise ZohoError("INVALID_CALLBACK_METHOD")
    if not _is_web_address(callback.get("url")):
        raise ZohoError("INVALID_CALLBACK_URL")
    return callback


def _is_web_address(url: Any) -> bool:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


class _QueryReader:
    """Parses one query and checks it against the organisation."""

    def __init__(self, organisation: Organisation, query: dict[str, Any], version: int) -> None:
        self._organisation = organisation
        self._query = query
        self._version = version

    def read(self, file_type: Any, *, page_tokens: bool) -> BulkQuery:
        module = self._module()
        if file_type not in ("csv", "ics"):
            raise ZohoError("REQUEST_BODY_NOT_SUPPORTED", api_name="file_type")
        if file_type == "ics" and module.api_name != "Events":
            raise ZohoError("MODULE_NOT_SUPPORTED", "Only Events can be exported as ICS.")
        if file_type == "ics" and "fields" in self._query:
            raise ZohoError("QUERY_NOT_SUPPORTED", "fields cannot be given for ICS.")
        tests = [
            compile_criteria(criteria, self._organisation, module, version=version)
            for criteria, version in (
                (self._view_criteria(module), 3),
                (self._query.get("criteria"), self._version),
            )
            if criteria is not None
        ]
        return BulkQuery(
            module=module,
            paths=tuple(self._paths(module)),
            keep=lambda record: all(test(record) for test in tests),
            page=self._page(page_tokens=page_tokens),
            file_type=file_type,
            given={
                key: self._query[key]
                for key in ("fields", "cvid", "criteria")
                if key in self._query
            },
        )

    def _module(self) -> Module:
        given = self._query.get("module")
        name = given
        if self._version > 2:
            if not isinstance(given, dict) or set(given) - {"api_name", "id"}:
                raise ZohoError(
                    "QUERY_NOT_SUPPORTED", "module must be an object.", api_name="module"
                )
            name = given.get("api_name")
        if not isinstance(name, str):
            raise ZohoError("QUERY_NOT_SUPPORTED", "module must have a name.", api_name="module")
        module = self._organisation.modules.get(name)
        if module is None:
            raise ZohoError("MODULE_NOT_AVAILABLE", module=name)
        if module.bulk_error:
            raise ZohoError(module.bulk_error, module=name)
        if not module.api_supported or module.generated_type == "linking":
            raise ZohoError("MODULE_NOT_SUPPORTED", module=name)
        return module

    def _paths(self, module: Module) -> list[Path]:
        names = self._query.get("fields") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ZohoError("QUERY_NOT_SUPPORTED", "fields must be a list.", api_name="fields")
        if len(set(names)) != len(names):
            raise ZohoError("QUERY_NOT_SUPPORTED", "A field is named twice.", api_name="fields")
        paths = [self._path(module, name) for name in names if name != "id"]
        joins = {path.via.api_name for path in paths if path.via}
        if len(joins) > MAX_JOINS:
            raise ZohoError("JOIN_LIMIT_EXCEEDED", max_limit=MAX_JOINS)
        if not names or len(names) > MAX_FIELDS:
            return [Path(field.api_name, field) for field in module.exportable_fields]
        return paths

    def _path(self, module: Module, name: str) -> Path:
        path = self._organisation.path(module, name)
        if path is None:
            raise ZohoError("FIELD_NOT_AVAILABLE", api_name=name, module=module.api_name)
        if not path.field.exportable:
            raise ZohoError("FIELD_NOT_SUPPORTED", api_name=name, module=module.api_name)
        return path

    def _view_criteria(self, module: Module) -> dict[str, Any] | None:
        cvid = self._query.get("cvid")
        if cvid is None:
            return None
        if isinstance(cvid, bool) or not isinstance(cvid, (str, int)):
            raise ZohoError("CVID_NOT_SUPPORTED", cvid=cvid)
        for view in module.custom_views:
            if view.id == str(cvid) and view.exportable:
                return view.criteria
        raise ZohoError("CVID_NOT_SUPPORTED", cvid=cvid)

    def _page(self, *, page_tokens: bool) -> int:
        page = self._query.get("page", 1)
        if page is None:
            return 1
        if isinstance(page, bool) or not isinstance(page, int) or page < 1:
            raise ZohoError("PAGE_NOT_SUPPORTED", page=page)
        if page > MAX_PAGES:
            raise ZohoError("PAGE_RANGE_EXCEEDED", max_limit=MAX_PAGES)
        if page > 1 and page_tokens:
            raise ZohoError("PAGE_NOT_SUPPORTED", "Use page_token for more pages.", page=page)
        return page
