"""What settings and catalog name that is not there ends no sync green."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_zoho_bulk.exceptions import ExitCode
from tests.support.organisations import catalog, small_organisation
from tests.support.singer import select

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

SIZES = {"Orders": 2, "Payments": 1}


@pytest.fixture
def server(serve: Serve) -> ZohoServer:
    return serve(small_organisation(SIZES))


@pytest.mark.parametrize(
    "nothing",
    [{"modules": []}, {"exclude_modules": ["*"]}, {"exclude_modules": ["Orders", "Pay*"]}],
)
def test_a_sync_without_modules_is_an_error(
    tap: TapCommand, server: ZohoServer, nothing: dict[str, Any]
) -> None:
    run = tap.run(server, **nothing)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("`deleted_records` reads the deletes of the selected modules, and none is")
    # It may be what the user wants: lists such as `users` need no module.
    users = select(tap.discover(server, **nothing), {"users": None})
    assert tap.sync(server, catalog=users, **nothing).records("users")


@pytest.mark.parametrize(
    ("maps", "named"),
    [
        ({"Ordres": {"Name": "md5(Name)"}}, "`Ordres`, which the catalog does not have. Did you"),
        ({"Pay_*": {"Name": None}}, "`Pay_*`"),
        ({"copies": {"__source__": "Odrers"}}, "`Odrers`"),
    ],
)
@pytest.mark.parametrize("discovers", [True, False])
def test_a_stream_map_of_no_stream_is_an_error_before_anything_is_read(
    tap: TapCommand, server: ZohoServer, maps: dict[str, Any], named: str, *, discovers: bool
) -> None:
    given = None if discovers else catalog(server.organisation)

    run = tap.run(server, catalog=given, stream_maps=maps)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("`stream_maps` names", named, level="ERROR")
    assert not server.jobs
    assert not run.messages


def test_stream_maps_of_patterns_sources_and_the_rest_are_let_through(
    tap: TapCommand, server: ZohoServer
) -> None:
    maps = {
        "Ord*": {"Name": "Name"},
        "copies": {"__source__": "Payments", "Name": "Name"},
        "__else__": None,
    }

    run = tap.sync(server, stream_maps=maps, modules=["*"])

    assert len(run.records("Orders")) == SIZES["Orders"]
    assert len(run.records("copies")) == SIZES["Payments"]


def test_options_of_a_module_that_the_catalog_lacks_fail_it_alone(
    tap: TapCommand, server: ZohoServer
) -> None:
    options = {"Ordres": {"custom_view_id": "1"}, "Payments": {}}

    run = tap.run(server, catalog=catalog(server.organisation), module_options=options)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.line("`module_options` names `Ordres`", "Did you mean `Orders`?", level="ERROR")
    assert run.line("1 of 3 streams failed", "Ordres")
    assert run.by_id("Orders") == server.organisation.truth("Orders")
    # A module that is not wanted may well be there.
    calm = tap.sync(
        server,
        catalog=catalog(server.organisation),
        module_options=options,
        exclude_modules=["Ordres"],
    )
    assert len(calm.records("Orders")) == SIZES["Orders"]


def test_a_run_of_lists_only_remembers_when_to_look_at_the_catalog(
    tap: TapCommand, server: ZohoServer
) -> None:
    users = select(tap.discover(server), {"users": None})

    assert tap.sync(server, catalog=users).state["catalog_check"]["at"]
