"""Reconciliation: deletes that Zoho lists no longer, found by comparing ids."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Fault, Organisation
from tap_zoho_bulk.exceptions import ExitCode, UnreadableStreamError
from tap_zoho_bulk.streams.reconcile import KnownIds
from tests.support.singer import select

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Serve
    from tests.support.singer import TapCommand

SETTINGS: dict[str, Any] = {"modules": ["Leads"], "emit_deletes": True}


def test_a_delete_for_each_id_that_is_gone(tap: TapCommand, serve: Serve, tmp_path: Path) -> None:
    organisation = Organisation.generate(seed=85, only=["Leads"], sizes={"Leads": 30})
    options = {"Leads": {"custom_view": "Web, with an e-mail"}}
    server = serve(organisation, page_size=12)
    first = tap.sync(server, **SETTINGS)
    leads = list(organisation.module("Leads").records)
    file = tmp_path / "leads.csv"
    file.write_text('"id"\r\n' + "".join(f'"{each}"\r\n' for each in reversed(leads)))
    organisation.delete("Leads", leads[3])
    organisation.delete("Leads", leads[4], permanent=True)
    organisation.advance(timedelta(days=200))  # Zoho lists them no longer.
    (new,) = organisation.insert("Leads")

    # A view leaves records out, but they are not gone.
    run = tap.sync(
        server,
        **SETTINGS,
        state=first.state,
        module_options=options,
        reconcile_ids={"Leads": str(file)},
    )

    deletes = [each for each in run.records("Leads") if each["_sdc_deleted_at"]]
    assert [each["id"] for each in deletes] == leads[3:5]
    assert all(each.keys() == {"id", "_sdc_deleted_at"} for each in deletes)
    assert run.records("Leads")[-2:] == deletes
    assert "of 30 ids of the warehouse, 2 are gone from Zoho, which has 1 records" in run.stderr
    assert new not in {each["id"] for each in deletes}
    # Three pages of ids, each with one field, and no view.
    created = [each.json["query"] for each in server.requests_matching("POST", "/read$")][-3:]
    assert created[0] == {"module": {"api_name": "Leads"}, "fields": ["Modified_Time"]}
    assert all("page_token" in query for query in created[1:])


def test_an_export_whose_ids_are_no_numbers_deletes_nothing(
    tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Organisation.generate(seed=85, only=["Leads"], sizes={"Leads": 1}))
    file = tmp_path / "leads.csv"
    file.write_text("1\n")
    export = io.BytesIO()
    with zipfile.ZipFile(export, "w") as archive:
        archive.writestr("1.csv", "Id,Modified_Time\r\nabc,2024-01-01T00:00:00+00:00\r\n")
    content = {"Content-Type": "application/x-download"}
    body = export.getvalue()
    server.faults.add(Fault(status=200, body=body, headers=content, path="/result$", skip=1))

    run = tap.run(server, **SETTINGS, reconcile_ids={"Leads": str(file)})

    assert run.line("Leads failed", "an id is not a number")
    assert not [each for each in run.records("Leads") if each["_sdc_deleted_at"]]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"emit_deletes": False}, "needs `emit_deletes`, in config['reconcile_ids']"),
        ({"api_version": "v6"}, "needs `api_version` v7 or v8, in config['reconcile_ids']"),
        ({"reconcile_ids": {"Leads": "/missing"}}, "'/missing' is not a readable file"),
        ({"reconcile_ids": {"Leads": "/"}}, "'/' is not a readable file"),
        ({"reconcile_ids": {"Leeds": __file__}}, "`reconcile_ids` names Leeds"),
    ],
)
def test_what_cannot_be_reconciled(
    tap: TapCommand, serve: Serve, tmp_path: Path, settings: dict[str, Any], problem: str
) -> None:
    server = serve(Organisation.generate(seed=85, only=["Leads"], sizes={"Leads": 3}))
    file = tmp_path / "leads.txt"
    file.write_text("id\n1\n")

    run = tap.run(server, **{**SETTINGS, "reconcile_ids": {"Leads": str(file)}, **settings})

    assert run.exit_code == ExitCode.FIX_FIRST
    assert problem in run.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id\n1\nBerlin\n", "line 3 has no id of a record"),
        (f"id\n{'1' * 5000}\n", "line 2 has no id of a record"),
        ("", "has no ids"),
        ("psql: error: connection failed\n", "has no ids"),
        ("id\n\xff", "cannot be read"),
    ],
)
def test_a_wrong_file_is_named_before_a_job_is_paid_for(
    tap: TapCommand, serve: Serve, tmp_path: Path, text: str, problem: str
) -> None:
    server = serve(Organisation.generate(seed=85, only=["Leads"], sizes={"Leads": 3}))
    file = tmp_path / "leads.txt"
    file.write_text(text, encoding="latin-1")

    run = tap.run(server, **SETTINGS, reconcile_ids={"Leads": str(file)})

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.line("Leads failed; its bookmark has not moved", problem)
    assert "Traceback" not in run.stderr
    assert not server.jobs


def test_ids_of_another_organisation_delete_nothing(
    tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Organisation.generate(seed=85, only=["Leads"], sizes={"Leads": 3}))
    file = tmp_path / "leads.txt"
    file.write_text("1\n2\n")

    run = tap.run(server, **SETTINGS, reconcile_ids={"Leads": str(file)})

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.line("Leads failed; its records are complete", "none of the 2 ids")
    assert not [each for each in run.records("Leads") if each["_sdc_deleted_at"]]
    assert run.bookmark("Leads")["replication_key_value"]


def test_a_module_without_deletes_cannot_be_reconciled(
    tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Organisation.generate(seed=85, only=["Leads"], sizes={"Leads": 3}))
    file = tmp_path / "leads.txt"
    file.write_text("1\n")
    catalog = select(tap.discover(server, **SETTINGS), {"Leads": ["Last_Name", "Modified_Time"]})

    run = tap.run(server, **SETTINGS, catalog=catalog, reconcile_ids={"Leads": str(file)})

    assert run.exit_code == ExitCode.FIX_FIRST
    assert run.line("Leads failed", "`_sdc_deleted_at` is not selected")
    assert not server.jobs


def test_ids_that_are_twice_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    file.write_text("18446744073709551615\n5\n5,more\n\n7\n")

    known = KnownIds.from_file(str(file))
    known.found(["5", "6"])

    assert [*known.gone()] == [["7", "18446744073709551615"]]
    assert known.unknown == 1
    file.write_text("18446744073709551616\n18446744073709551616\n")
    with pytest.raises(UnreadableStreamError, match="line 2"):
        KnownIds.from_file(str(file))
