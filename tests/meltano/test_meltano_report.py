"""Meltano's own log contains all that the report needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_zoho_crm import Fault, Organisation
from tests.support.meltano_project import MeltanoProject
from tests.support.report_page import number, page, zoho_says
from tests.support.singer import FAST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve

SIZES = {"Calls": 30, "Deals": 1_234, "Tasks": 7}


def test_meltanos_log_makes_the_same_page(serve: Serve, tmp_path: Path) -> None:
    organisation = Organisation.generate(seed=31, only=list(SIZES), sizes=SIZES)
    server = serve(organisation, page_size=500)
    server.faults.add(Fault(kind="job_failure", module="Calls"))
    project = MeltanoProject(
        tmp_path / "project",
        {
            "tap-zoho-bulk": server.tap_config(**FAST),
            "target-duckdb": {"filepath": str(tmp_path / "warehouse.duckdb")},
        },
    )

    done = project.meltano("--log-format", "json", "run", "tap-zoho-bulk-to-duckdb")

    assert done.returncode == 0, done.stderr
    html = page(done.stderr.encode())
    rows = html.streams()
    for name, size in SIZES.items():
        assert number(rows[name]["records"]) == size
        assert number(rows[name]["jobs"]) == zoho_says(server, name)[0]
    assert re.search(r"warning Calls: bulk read job \d+ ended in FAILURE", html.text)
