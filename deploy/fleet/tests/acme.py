"""An organisation with two modules, its fleet, and what its runs leave in storage."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import local_zoho_crm
from zoho_bulk_fleet import Fleet, Organisation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUICK = {"poll_interval_seconds": 0.01, "max_poll_interval_seconds": 0.05, "max_retries": 0}
TAP = str(Path(sys.executable).with_name("tap-zoho-bulk"))
LOADER = (sys.executable, str(Path(__file__).with_name("file_loader.py")))
MAX_SECONDS = 60.0


def crm_with_two_modules() -> local_zoho_crm.Organisation:
    """Return what Zoho has of the organisation: 20 leads and 20 deals."""
    crm = local_zoho_crm.Organisation(seed=1)
    crm.advance(-timedelta(minutes=40))
    for name in ("Leads", "Deals"):
        crm.add_module(
            local_zoho_crm.Module.of(
                name,
                local_zoho_crm.Field("Name", "text", label="Name"),
                local_zoho_crm.Field("Modified_Time", "datetime", label="Modified Time"),
            )
        )
        for number in range(20):
            crm.insert(name, values={"Name": f"{name} {number}"})
            crm.advance(timedelta(minutes=1))
    return crm


@cache
def catalog() -> bytes:
    """Return the organisation's catalog, discovered once."""
    with (
        tempfile.NamedTemporaryFile("w") as config,
        local_zoho_crm.ZohoServer(crm_with_two_modules()) as server,
    ):
        json.dump({**server.tap_config(), **QUICK}, config)
        config.flush()
        return subprocess.check_output([TAP, "--discover", "--config", config.name])


def fleet_without_catalog(directory: Path) -> Fleet:
    """Return a fleet whose storage is a local folder, with nothing in it."""
    return Fleet((directory / "storage").as_uri(), tap=(TAP,))


def fleet_with_catalog(directory: Path) -> Fleet:
    """Return a fleet whose organisation has a catalog, so that runs need no discovery."""
    fleet = fleet_without_catalog(directory)
    folder_of(fleet).mkdir(parents=True)
    (folder_of(fleet) / "catalog.json").write_bytes(catalog())
    return fleet


def organisation_of(server: local_zoho_crm.ZohoServer, **options: Any) -> Organisation:
    """Return the organisation, whose records a server has."""
    settings = {**server.tap_config(), **QUICK, **options.pop("settings", {})}
    return Organisation("acme", settings, **options)


def folder_of(fleet: Fleet) -> Path:
    """Return the organisation's folder in storage."""
    return Path(urlparse(fleet.storage).path) / "organisations" / "acme"


def figures_of(fleet: Fleet) -> Iterator[Path]:
    """Return the files of the figures of all runs."""
    return folder_of(fleet).glob("figures/*/*.json")


def newest_state(fleet: Fleet) -> Any:
    """Return the state that counts."""
    return json.loads(max((folder_of(fleet) / "state").iterdir()).read_bytes())


def is_running(pid: int) -> bool:
    """Return whether a process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition, which must come true in a minute."""
    until = time.monotonic() + MAX_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
