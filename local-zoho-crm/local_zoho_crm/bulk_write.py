"""Bulk write jobs that a user ran: their state, and a result with one line per row."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from local_zoho_crm.organisation import Organisation


@dataclass(kw_only=True)
class BulkWriteJob:
    """A bulk write job and the rows of its result.

    Attributes:
        columns: The first three mapped columns of the uploaded file.
        rows: For each row, the values of those columns, STATUS, RECORD_ID and ERRORS.
        absolute_url: Whether `download_url` has a host, as it sometimes does at Zoho.
        polls: Number of status checks that find the job still running.
        children: Files of subforms, imported with this one.
    """

    module: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    operation: str = "insert"
    status: str = "COMPLETED"
    absolute_url: bool = True
    polls: int = 0
    children: Sequence[BulkWriteJob] = ()
    id: str = ""
    created_time: datetime | None = None
    file_id: str = field(default="111111000000052009")

    def details(self, organisation: Organisation, host: str) -> dict[str, Any]:
        """Return the response of the job details call, which has no `data` as bulk read has."""
        status = self.status if self.polls <= 0 else "IN PROGRESS"
        self.polls -= 1
        path = f"/crm/bulk/v8/write/{self.id}/result"
        done = status == "COMPLETED"
        assert self.created_time is not None
        return {
            "status": status,
            "character_encoding": "UTF-8",
            "resource": [each.resource(status) for each in (self, *self.children)],
            "id": self.id,
            "operation": self.operation,
            "result": {"download_url": (host if self.absolute_url else "") + path}
            if done
            else None,
            "created_by": organisation.user_reference(str(organisation.current_user["id"])),
            "created_time": organisation.timestamp(self.created_time),
        }

    def resource(self, status: str) -> dict[str, Any]:
        """Return the entry of this file in the job's details."""
        statuses = [row[len(self.columns)] for row in self.rows]
        return {
            "status": status,
            "type": "data",
            "module": {"api_name": self.module},
            "file": {
                "status": status,
                "name": f"{self.module}.csv",
                "added_count": statuses.count("ADDED"),
                "updated_count": statuses.count("UPDATED"),
                "skipped_count": statuses.count("SKIPPED"),
                "total_count": len(statuses),
            },
        }

    def archive(self) -> bytes:
        """Return the ZIP of the result."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in (self, *self.children):
                archive.writestr(f"{each.module}-bulkwrite.csv", each.csv())
        return packed.getvalue()

    def csv(self) -> str:
        """Return the result of this file as CSV."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([*self.columns, "STATUS", "RECORD_ID", "ERRORS"])
        writer.writerows(self.rows)
        return text.getvalue()
