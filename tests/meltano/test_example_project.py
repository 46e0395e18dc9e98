"""`examples/meltano`, copied, installed and run as documented."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import yaml
from typing_extensions import override

from local_zoho_crm import Organisation
from tap_zoho_bulk.login.config_file import EnvFormat
from tests.support.meltano_project import MeltanoProject
from tests.support.singer import FAST, ROOT
from tests.support.warehouse import DuckDBWarehouse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve

EXAMPLE = ROOT / "examples" / "meltano"
SIZES = {"Accounts": 4, "Contacts": 5, "Deals": 6, "Leads": 7, "Tasks": 8}


class CopiedProject(MeltanoProject):
    """A copy of the example, with nothing installed."""

    @override
    def _create(self) -> None:
        shutil.copytree(EXAMPLE, self.directory)


def test_the_example_brings_what_it_selects_and_deletes(serve: Serve, tmp_path: Path) -> None:
    organisation = Organisation.generate(seed=5, only=list(SIZES), sizes=SIZES)
    server = serve(organisation)
    project = CopiedProject(tmp_path / "zoho", {})
    (project.directory / ".env").write_text(
        f"TAP_ZOHO_BULK_CHECKOUT={ROOT}\n" + EnvFormat().merge(None, server.tap_config(**FAST))
    )
    for kind, plugin in (("extractor", "tap-zoho-bulk"), ("loader", "target-duckdb")):
        done = project.meltano("install", kind, plugin)
        assert done.returncode == 0, done.stderr + done.stdout
    project.run("tap-zoho-bulk-to-duckdb")
    gone = next(iter(organisation.truth("Leads")))
    organisation.delete("Leads", gone)

    project.run("tap-zoho-bulk-to-duckdb")

    warehouse = DuckDBWarehouse(project.directory / "warehouse.duckdb")

    for module in ("Accounts", "Contacts", "Deals", "Leads"):
        table = warehouse.table(module)
        assert table, f"{module} has no table"
        living = {row["id"] for row in table.rows if row["_sdc_deleted_at"] is None}
        assert living == set(organisation.truth(module))
        deleted = {row["id"] for row in table.rows} - living
        assert deleted == ({gone} if module == "Leads" else set())
    assert not warehouse.table("Tasks")


def test_the_example_has_the_loaders_and_jobs_of_this_repository() -> None:
    example, own = (
        yaml.safe_load((folder / "meltano.yml").read_text()) for folder in (EXAMPLE, ROOT)
    )
    for loader in own["plugins"]["loaders"]:
        loader["pip_url"] = loader["pip_url"].replace("./", "${TAP_ZOHO_BULK_CHECKOUT}/")

    assert example["plugins"]["loaders"] == own["plugins"]["loaders"]
    assert example["plugins"]["extractors"][1:] == own["plugins"]["extractors"][1:]
    assert example["jobs"] == own["jobs"]
