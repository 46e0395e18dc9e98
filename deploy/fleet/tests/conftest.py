"""A local Zoho CRM, object storage, and runs of an organisation."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Field, Module, Organisation, ZohoServer
from zoho_bulk_fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find this environment's commands, as a scheduler's task does."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def crm() -> Organisation:
    """Return an organisation with two modules."""
    organisation = Organisation(seed=1)
    organisation.advance(-timedelta(minutes=40))
    for name in ("Leads", "Deals"):
        organisation.add_module(
            Module.of(
                name,
                Field("Name", "text", label="Name"),
                Field("Modified_Time", "datetime", label="Modified Time"),
            )
        )
        for number in range(20):
            organisation.insert(name, values={"Name": f"{name} {number}"})
            organisation.advance(timedelta(minutes=1))
    return organisation


@pytest.fixture
def serve() -> Iterator[Callable[..., ZohoServer]]:
    """Return what serves an organisation until the end of the test."""
    with ExitStack() as stack:
        yield lambda organisation, **options: stack.enter_context(
            ZohoServer(organisation, **options)
        )


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Return a fleet whose storage is a local folder."""
    return Fleet((tmp_path / "storage").as_uri())
