"""The query: what a chain of bulk read jobs asks Zoho for, in every API version's form.

Invariant: an incremental query has a lower bound and no upper one. With an upper bound, a record
changed while pages are read would leave the result, shift the later pages, and another record
would never be seen.

Source: https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/create-job.html
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

MAX_FIELDS = 200
"""Fields in a query. With more, Zoho exports all fields of the module, and no others."""

_VERSIONS_WITH_PAGE_NUMBERS = frozenset({"v2", "v3", "v4", "v5", "v6"})
"""Later versions have page tokens."""


@dataclass(frozen=True)
class BulkReadQuery:
    """What to read.

    Args:
        module: API name of the module.
        fields: API names of the fields, without `id`, which Zoho always adds. Without any, Zoho
            exports all fields, also above `MAX_FIELDS`.
        dispensable: Those of them to leave out if they are too many for Zoho.
        replication_key: API name of the date-time field that shows changes, if any.
        since: Read records that changed at this instant or later; None for all.
        criteria: Further criteria, in Zoho's JSON; None for none.
        custom_view_id: Zoho's id of a custom view to read; None for all records.
        callback_url: URL to which Zoho posts when a job has ended.
        api_version: Such as `v8`.
        file_type: `csv`; or `ics`, which Zoho supports for the module Events, without fields.
    """

    module: str
    fields: tuple[str, ...]
    dispensable: frozenset[str] = frozenset()
    replication_key: str | None = None
    since: datetime | None = None
    criteria: dict[str, Any] | None = None
    custom_view_id: str | None = None
    callback_url: str | None = None
    api_version: str = "v8"
    file_type: str = "csv"

    @property
    def path(self) -> str:
        """Path on the API host at which jobs are created."""
        return f"/crm/bulk/{self.api_version}/read"

    @property
    def related(self) -> tuple[str, ...]:
        """The fields of parent records, such as `Account_Name.Phone`."""
        return tuple(name for name in self.fields if "." in name)

    @property
    def fingerprint(self) -> str:
        """A short digest, equal for equal queries."""
        text = json.dumps([self.path, self.body()], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def without(self, fields: Iterable[str]) -> BulkReadQuery:
        """Return the query without some fields, such as those that Zoho rejected.

        Args:
            fields: API names.
        """
        left_out = frozenset(fields)
        return replace(self, fields=tuple(name for name in self.fields if name not in left_out))

    def rejecting(self, name: str, rejected: tuple[str, ...]) -> tuple[str, ...]:
        """Return the fields to leave out after Zoho rejected one.

        Zoho may name only a part of a parent's field, and the module may have a field of that
        name. The parent's is then left out first, and restored if Zoho rejects the name again.

        Args:
            name: API name in Zoho's response.
            rejected: The fields that are already left out.

        Returns:
            The fields to leave out from now on; unchanged if none matches.
        """
        asked = [field for field in self.fields if field not in rejected]
        parts = [field for field in asked if field != name and name in field.split(".")]
        if parts:
            return (*rejected, *parts)
        if name not in asked or name == self.replication_key:
            return rejected
        innocent = {field for field in rejected if name in field.split(".")}
        return (*(field for field in rejected if field not in innocent), name)

    def body(self, page: int = 1, page_token: str | None = None) -> dict[str, Any]:
        """Return the body of the request that creates a job.

        Args:
            page: Number of the page, from 1.
            page_token: Zoho's token for the page. It includes the query and its file type, so the
                body then has neither.
        """
        body: dict[str, Any] = {
            "query": self._query(page) if page_token is None else {"page_token": page_token}
        }
        if self.file_type != "csv" and page_token is None:
            body["file_type"] = self.file_type
        if self.callback_url is not None:
            body["callback"] = {"url": self.callback_url, "method": "post"}
        return body

    def _query(self, page: int) -> dict[str, Any]:
        legacy = self.api_version == "v2"
        query: dict[str, Any] = {"module": self.module if legacy else {"api_name": self.module}}
        if self.custom_view_id is not None:
            query["cvid"] = self.custom_view_id
        if self.fields:
            query["fields"] = list(self.fields)
        parts = [part for part in (self.criteria, self._changed()) if part is not None]
        if parts:
            # Joined as groups: the first part's own operator may be "or".
            joined = parts[0] if len(parts) == 1 else {"group": parts, "group_operator": "and"}
            query["criteria"] = _in_form(joined, legacy=legacy)
        if page > 1 or self.api_version in _VERSIONS_WITH_PAGE_NUMBERS:
            query["page"] = page
        return query

    def _changed(self) -> dict[str, Any] | None:
        if self.replication_key is None or self.since is None:
            return None
        # Zoho does not support fractions of a second here; truncating reads a little more.
        since = self.since.astimezone(timezone.utc).replace(microsecond=0)
        return {
            "field": {"api_name": self.replication_key},
            "comparator": "greater_equal",
            "value": since.isoformat(),
        }


def is_named_only(field: str) -> bool:
    """Return whether Zoho exports a field only if a query names it.

    Args:
        field: `Account_Name.Phone`, `$converted`, or any other.
    """
    return "." in field or field.startswith("$")


def _in_form(criteria: dict[str, Any], *, legacy: bool) -> dict[str, Any]:
    """Return criteria in the API version's form: v2 has `api_name`, later ones a `field`."""
    if "group" in criteria:
        group = [_in_form(part, legacy=legacy) for part in criteria["group"]]
        return {**criteria, "group": group}
    rest = {key: value for key, value in criteria.items() if key not in {"field", "api_name"}}
    field = criteria.get("field")
    name = field.get("api_name") if isinstance(field, dict) else criteria.get("api_name")
    return {"api_name": name, **rest} if legacy else {"field": {"api_name": name}, **rest}
