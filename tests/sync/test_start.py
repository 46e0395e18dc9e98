"""A run imports only what it needs, because each run pays for its imports, also an empty one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.singer import ROOT

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

BY_THE_TAP = {"tap_zoho_bulk", "msgspec"}


def test_an_empty_incremental_sync_imports_little_beside_the_sdk(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = small_organisation({"Leads": 1})
    server = serve(organisation)
    bookmark = {"replication_key": "Modified_Time", "replication_key_value": "2099-01-01T00:00:00Z"}
    program, *arguments = tap.line(
        server.tap_config(**QUICK),
        catalog=catalog(organisation, deleted=True),
        state={"bookmarks": {"Leads": bookmark}},
    )

    imported = packages_of(program, *arguments)

    assert [job.module for job in server.jobs] == ["Leads"]
    assert imported - packages_of(program, "-c", "import singer_sdk") == BY_THE_TAP


def packages_of(program: str, *arguments: str) -> set[str]:
    """Return the packages that Python imports, without those of its own."""
    run = subprocess.run(
        [program, "-X", "importtime", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    names = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in run.stderr.splitlines()
        if line.startswith("import time:")
    }
    return names - sys.stdlib_module_names
