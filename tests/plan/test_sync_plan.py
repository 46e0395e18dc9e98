"""`tap-zoho-bulk-plan` says what a sync would do, which the sync then does."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import CustomView, Fault, Field, Organisation
from tests.support.organisations import small_module, small_organisation
from tests.support.singer import FAST, MAX_RUN_SECONDS, TapCommand, select

if TYPE_CHECKING:
    from pathlib import Path

    from local_zoho_crm import LoggedRequest
    from tests.conftest import Serve
    from tests.plan.conftest import PlanCommand
    from tests.support.program import Program

SIZES = {"Alpha": 7, "Beta": 3, "Gamma": 0}
ALL_SCOPES = {
    *("ZohoCRM.bulk.READ", "ZohoCRM.modules.ALL", "ZohoCRM.settings.ALL", "ZohoCRM.users.READ"),
    *("ZohoCRM.org.READ", "ZohoSearch.securesearch.READ"),
}


@pytest.fixture
def organisation() -> Organisation:
    return small_organisation(SIZES)


def test_a_sync_does_what_its_plan_says(
    tap: TapCommand, plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)

    planned = plan(server)

    assert planned.exit_code == planned.json["exit_code"] == 0, planned.stderr
    assert not planned.json["obstacles"] + planned.json["warnings"]
    assert {name: planned.stream(name)["records"] for name in SIZES} == SIZES
    assert planned.json["credits"]["spent_by_plan"] == server.credits
    assert planned.json["account"]["edition"] == "Enterprise"
    assert planned.json["account"]["daily_credits"] == 55_000
    assert planned.json["since_the_catalog"] is None
    catalog = tap.discover(server)
    before = server.credits
    tap.sync(server, catalog=catalog)
    assert planned.json["jobs"] == planned.json["downloads"] == len(server.jobs) == 3
    cost = planned.json["credits"]
    assert cost["least"] <= server.credits - before <= cost["reserved"]


def test_the_next_plan_goes_by_state(
    tap: TapCommand, plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=3)
    catalog = tap.discover(server)
    stopped = tap.sync(server, catalog=catalog, skip_unchanged=True, api_credit_limit=200)
    (unfinished,) = [
        name for name, each in stopped.state["bookmarks"].items() if "bulk_read" in each
    ]
    resumed = plan(server, catalog=catalog, state=stopped.state, skip_unchanged=True)
    assert any("resumes at page" in note for note in resumed.stream(unfinished)["notes"])

    state = tap.sync(server, catalog=catalog, skip_unchanged=True, state=stopped.state).state
    organisation.advance(timedelta(minutes=1))
    organisation.insert("Alpha", count=2)
    planned = plan(server, catalog=catalog, state=state, skip_unchanged=True)

    bookmark = state["bookmarks"]["Alpha"]["replication_key_value"].replace("T", " ")
    assert planned.stream("Alpha")["reads"] == f"changes since {bookmark}"
    assert planned.stream("Alpha")["records"] in {2, 3}  # with the one at the bookmark
    assert planned.stream("Alpha")["jobs"] == 1
    assert (planned.stream("Beta")["jobs"], planned.stream("Beta")["credits"]) == (0, 1)
    assert not any(planned.json["since_the_catalog"].values())


def test_large_modules_take_several_jobs_and_minutes(
    plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    server.faults.add(
        Fault(path="/Alpha/actions/count$", status=200, body={"count": 4_000_001}, times=None),
        Fault(path="/Beta/actions/count$", status=204, times=None),
    )
    criteria = {"field": {"api_name": "Name"}, "comparator": "equal", "value": "x"}

    planned = plan(
        server, module_options={"Alpha": {"criteria": criteria}}, downloads_per_minute=10
    )

    alpha, beta = planned.stream("Alpha"), planned.stream("Beta")
    assert (alpha["jobs"], alpha["at_most"], alpha["credits"]) == (21, True, 21 * 52)
    assert (beta["records"], beta["jobs"]) == (None, 1)
    assert planned.json["least_minutes"] == 2  # 23 downloads
    assert planned.json["disk"]["needed_bytes"] > 10**9


def test_reconciling_takes_jobs_for_all_ids(
    tap: TapCommand, plan: PlanCommand, serve: Serve, organisation: Organisation, tmp_path: Path
) -> None:
    server = serve(organisation)
    file = tmp_path / "ids"
    file.write_text("1\n")
    options: dict[str, Any] = {
        "modules": ["Alpha"],
        "emit_deletes": True,
        "skip_unchanged": True,
        "reconcile_ids": {"Alpha": str(file)},
    }
    catalog = tap.discover(server, **options)
    state = tap.sync(server, catalog=catalog, **{**options, "reconcile_ids": {}}).state
    organisation.advance(timedelta(minutes=1))
    unchanged = plan(server, catalog=catalog, state=state, **options).stream("Alpha")
    assert (unchanged["records"], unchanged["jobs"], unchanged["credits"]) == (0, 1, 2 + 1 + 52)

    organisation.insert("Alpha")
    body = {"count": 400_001}
    # Of the two counts, that of the changes comes first.
    server.faults.add(Fault(path="/actions/count$", status=200, body=body, skip=1))
    planned = plan(server, catalog=catalog, state=state, **options)

    alpha = planned.stream("Alpha")
    assert alpha["records"] in {1, 2}  # with the one at the bookmark
    assert alpha["jobs"] == planned.json["downloads"] == 1 + 3
    assert alpha["credits"] == 2 + 1 + 4 * 52
    assert "reconciles 400,001 ids" in alpha["notes"]
    file.write_text("no id\n")
    wrong = plan(server, catalog=catalog, state=state, **options)
    assert wrong.exit_code == 78
    assert "has no ids" in wrong.json["obstacles"][0]


def test_the_rows_of_a_subform_are_not_counted(plan: PlanCommand, serve: Serve) -> None:
    server = serve(Organisation.generate(seed=61, only=["Quoted_Items"]))

    planned = plan(server)

    assert planned.stream("Quoted_Items")["records"] is None
    assert planned.stream("Quoted_Items")["jobs"] == 1
    assert not planned.json["warnings"]


def test_what_cannot_be_exported_is_said(plan: PlanCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=61, only=["Leads", "Deals"])
    views = organisation.module("Leads").custom_views
    views.append(CustomView(id="7", name="Shared to me", system_name="SHARED"))
    amount = {"field": {"api_name": "Amount"}, "comparator": "greater_than", "value": 5}
    server = serve(organisation)

    planned = plan(
        server,
        module_options={
            "Leads": {"custom_view_id": "7"},
            "Deals": {"custom_view_id": "8", "criteria": amount},
        },
    )

    assert planned.json["views_left_out"] == ["Co-owner", "Shared by me", "Shared to me"]
    assert planned.json["account"]["home_currency"] == "USD"
    (obstacle,) = planned.json["obstacles"]
    assert obstacle == (
        "Leads: Zoho does not export the custom view `Shared to me`. Choose another one in "
        "`module_options`."
    )
    assert planned.stream("Deals")["notes"] == [
        "Zoho does not list the custom view",
        "with criteria, whose amounts are in USD",
        "of a custom view",
    ]
    table = plan(server, "--format", "table").stdout
    assert "Co-owner, Shared by me, Shared to me: Zoho's bulk read does not support them" in table


def test_a_plan_of_nothing_is_an_obstacle(
    tap: TapCommand, plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    catalog = tap.discover(server)

    nothing = plan(server, catalog=select(catalog, {}))
    wrong = plan(
        server,
        catalog=catalog,
        module_options={"Alpa": {}},
        stream_maps={"Bata": {"Name": "Name"}},
    )

    assert nothing.exit_code == wrong.exit_code == 78
    assert "No stream is selected" in nothing.json["obstacles"][0]
    assert [text.split(",")[0] for text in wrong.json["obstacles"]] == [
        "`stream_maps` names `Bata`",
        "`module_options` names `Alpa`",
    ]


def test_what_changed_since_the_catalog_is_named(
    tap: TapCommand, plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    catalog = tap.discover(server)
    organisation.add_module(small_module("Delta"))
    fields = organisation.module("Alpha").fields
    fields["Extra"] = Field("Extra", "text")
    fields["Photo"] = Field("Photo", "imageupload")
    fields["Amount"] = Field("Amount", "text")
    del fields["Notes"]
    del organisation.modules["Gamma"]

    planned = plan(server, catalog=catalog)

    assert planned.json["since_the_catalog"] == {
        "new_modules": ["Delta"],
        "gone_modules": ["Gamma"],
        "new_fields": ["Alpha.Extra"],
        "gone_fields": ["Alpha.Notes"],
        "retyped": {"Alpha.Amount": ["currency", "text"]},
    }
    (obstacle,) = planned.json["obstacles"]
    assert "Gamma" in obstacle
    assert "discover the catalog again" in obstacle
    assert planned.exit_code == 78
    assert plan(server, catalog=select(catalog, {"Alpha": None})).exit_code == 0


def test_credits_that_do_not_suffice_end_with_try_again_later(
    plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, daily_credits=30)
    for _ in range(3):
        planned = plan(server)

    assert planned.json["credits"]["left"] == 30 - server.credits
    (obstacle,) = planned.json["obstacles"]
    assert f"{planned.json['credits']['least']} API credits" in obstacle
    assert planned.exit_code == 75


@pytest.mark.parametrize("tell_scopes", [True, False])
def test_scopes_for_the_selected_modules_suffice(
    plan: PlanCommand, serve: Serve, organisation: Organisation, *, tell_scopes: bool
) -> None:
    others = ALL_SCOPES - {"ZohoCRM.modules.ALL"}
    scopes = {*others, "ZohoCRM.modules.Alpha.READ", "ZohoCRM.modules.Beta.READ"}
    some = serve(organisation, tell_scopes=tell_scopes, scopes=scopes)
    none = serve(organisation, tell_scopes=tell_scopes, scopes=others)

    enough = plan(some, modules=["Alpha", "Beta"])
    not_enough = plan(some)
    nothing = plan(none)

    assert (enough.exit_code, enough.json["obstacles"]) == (0, [])
    assert enough.stream("Alpha")["records"] == SIZES["Alpha"]
    for planned in (not_enough, nothing):
        assert planned.exit_code == 78
        (obstacle,) = planned.json["obstacles"]
        assert "lacks the scope ZohoCRM.modules.ALL" in obstacle
        # Zoho's refusal of a count says nothing about the scope of counts then.
        assert not planned.json["warnings"]
        missing = [each["name"] for each in planned.json["account"]["missing_scopes"]]
        assert missing == ["ZohoCRM.modules.ALL"]


@pytest.mark.parametrize("tell_scopes", [True, False])
def test_missing_scopes_are_named_with_what_they_are_for(
    plan: PlanCommand, serve: Serve, organisation: Organisation, *, tell_scopes: bool
) -> None:
    scopes = ALL_SCOPES - {"ZohoCRM.settings.ALL", "ZohoCRM.org.READ"}
    server = serve(organisation, tell_scopes=tell_scopes, scopes=scopes)

    planned = plan(server)

    missing = {
        scope["name"]: scope["purpose"] for scope in planned.json["account"]["missing_scopes"]
    }
    assert missing["ZohoCRM.settings.fields.READ"] == "discovery: the fields"
    assert {"ZohoCRM.org.READ", "ZohoCRM.settings.roles.READ"} <= missing.keys()
    assert planned.exit_code == 78
    assert len(planned.json["obstacles"]) == 2  # No stream needs the others.


def test_the_table_shows_a_person_all_of_it(
    plan: PlanCommand, tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation.generate(
        seed=61,
        only=["Leads", "Deals", "Notes", "Secret_Payroll"],
        clock_offset=timedelta(minutes=-7),
    )
    organisation.company["company_name"] = "Zyl\x1b[31mker"
    server = serve(organisation)
    catalog = select(tap.discover(server), {"Leads": None, "Deals": None, "users": None})
    options = {"Deals": {"custom_view": "No such view"}}

    planned = plan(
        server,
        *("--format", "table"),
        catalog=catalog,
        max_concurrent_requests=99,
        module_options=options,
    )

    assert planned.exit_code == 78
    for fact in (
        *(r"Zyl\x1b[31mker, Enterprise edition, 5 users", "Leads", "all records", "30"),
        *("Notes: Zoho's bulk read does not support it", "NO_PERMISSION (HTTP 403)"),
        *("Photos (imageupload)", "lower the setting", "behind this machine's"),
        *("no custom view is named `No such view`", "nothing has changed", "In the way"),
    ):
        assert fact in planned.stdout
    assert not planned.stderr


def test_wrong_files_and_settings_end_as_they_end_the_tap(
    plan: PlanCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)

    assert plan(server, state={"type": "STATE", "value": {}}).exit_code == 2
    wrong = plan(server, api_version="v1")
    assert (wrong.exit_code, wrong.stdout) == (78, "")
    assert "v1" in wrong.stderr
    refused = plan(server, refresh_token="1000.other")
    assert refused.exit_code == 78
    assert "invalid_code" in refused.stderr


@pytest.mark.parametrize("flags", [(), ("--probe", "--yes")])
def test_ctrl_c_ends_a_plan_like_a_sync(
    plan_program: Program, serve: Serve, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    server = serve(small_organisation(SIZES))
    command = TapCommand(plan_program, tmp_path)
    began = threading.Event()

    def note(request: LoggedRequest) -> None:
        if "/actions/count" in request.path:
            began.set()

    server.on_response = note
    again = {"Retry-After": "300"}
    server.faults.add(Fault(path="/actions/count$", status=503, headers=again, times=None))

    running = command.start(server.tap_config(**FAST), *flags)
    assert began.wait(MAX_RUN_SECONDS)
    running.interrupt()
    exit_code, stdout, stderr = running.end()
    command.close()

    assert exit_code == 128 + signal.SIGINT
    assert not stdout
    assert "The run was stopped." in stderr
