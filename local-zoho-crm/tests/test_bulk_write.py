"""Results of bulk write jobs."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

from local_zoho_crm import BulkWriteJob
from zoho_client import code, serving

if TYPE_CHECKING:
    from local_zoho_crm import Organisation


def test_bulk_write_results(organisation: Organisation) -> None:
    child = BulkWriteJob(
        module="Quoted_Items", columns=("Quantity",), rows=[("2", "ADDED", "7", "")]
    )
    job = BulkWriteJob(
        module="Leads",
        columns=("Last_Name", "Email", "Company"),
        rows=[("Boyle", "b@example.com", "Zylker", "ADDED", "123", "")],
        polls=1,
        children=[child],
    )
    job_id = organisation.add_bulk_write_job(job)
    with serving(organisation) as client:
        assert code(client.get(f"/crm/bulk/v8/write/{job_id}")) == "OAUTH_SCOPE_MISMATCH"
    with serving(organisation, scopes={"ZohoCRM.bulk.CREATE"}) as client:
        running = client.get(f"/crm/bulk/v8/write/{job_id}").json()
        assert (running["status"], running["result"]) == ("IN PROGRESS", None)
        details = client.get(f"/crm/bulk/v8/write/{job_id}").json()
        assert "data" not in details
        assert [each["file"]["added_count"] for each in details["resource"]] == [1, 1]
        answer = client.session.get(details["result"]["download_url"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["Leads-bulkwrite.csv", "Quoted_Items-bulkwrite.csv"]
        text = archive.read("Leads-bulkwrite.csv").decode()
    assert re.match(r"Last_Name,Email,Company,STATUS,RECORD_ID,ERRORS\r\nBoyle", text)
