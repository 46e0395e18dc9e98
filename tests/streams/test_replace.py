"""Targets drop rows that Zoho lists nowhere as deleted: those of subforms."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.target import UpsertingTarget

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

ROWS = "Quoted_Items"
SETTINGS: dict[str, Any] = {
    "modules": [ROWS],
    "emit_activate_version_messages": True,
    "emit_deletes": True,
}


def days_ago(state: Json, days: int) -> Json:
    """Return the state as if the last read of all rows was this many days ago."""
    bookmark = state["bookmarks"][ROWS]
    then = datetime.fromisoformat(bookmark["read_whole"]) - timedelta(days=days)
    aged = {**bookmark, "read_whole": then.isoformat()}
    return {**state, "bookmarks": {**state["bookmarks"], ROWS: aged}}


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=83, only=["Quotes", ROWS], sizes={ROWS: 20})


@pytest.mark.parametrize("chosen", [{}, {"module_options": {ROWS: {"replace_days": 3}}}])
def test_rows_that_left_a_subform_are_dropped_when_due(
    tap: TapCommand, serve: Serve, organisation: Organisation, chosen: Json
) -> None:
    server = serve(organisation, page_size=7)
    target = UpsertingTarget()
    days = 3 if chosen else 7

    def sync(state: Json | None = None) -> TapRun:
        run = tap.sync(server, **SETTINGS, **chosen, **({"state": state} if state else {}))
        for message in run.messages:
            target.store(message)
        return run

    def ids() -> set[str]:
        return set(target.by_id(ROWS))

    first = sync()
    rows = list(organisation.module(ROWS).records)
    for record_id in rows[:5]:
        organisation.delete(ROWS, record_id)
    early = sync(days_ago(first.state, days - 1))
    assert len(early.records(ROWS)) < len(rows) / 2
    assert ids() == set(rows)
    due = sync(days_ago(early.state, days))

    assert "targets are to drop the rows" in due.stderr
    assert ids() == set(rows[5:])
    # Rows that come between two such reads have the version of the last one.
    organisation.update(ROWS, rows[5], Sequence_Number=9)
    later = sync(due.state)
    (version,) = {message.get("version") for message in later.of_type("RECORD", ROWS)}
    (activated,) = due.of_type("ACTIVATE_VERSION", ROWS)
    assert version == activated["version"]
    assert not later.of_type("ACTIVATE_VERSION", ROWS)


def test_a_full_refresh_drops_what_is_gone(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    target = UpsertingTarget()
    target.preload(ROWS, {"id": "1"})

    for message in tap.sync(server, **SETTINGS).messages:
        target.store(message)

    assert set(target.by_id(ROWS)) == set(organisation.module(ROWS).records)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"emit_activate_version_messages": False}, "needs `emit_activate_version_messages`"),
        ({"start_date": "2024-01-01T00:00:00Z"}, "cannot be combined with `start_date`"),
        ({"api_version": "v6"}, "needs `api_version` v7 or v8"),
    ],
)
def test_settings_with_which_nothing_can_be_dropped(
    tap: TapCommand, serve: Serve, organisation: Organisation, settings: Json, problem: str
) -> None:
    server = serve(organisation)

    run = tap.run(server, "--discover", **{**SETTINGS, **settings, "replace_days": 7})

    assert run.exit_code == ExitCode.FIX_FIRST
    assert f"{problem}, in config['replace_days']" in run.stderr
