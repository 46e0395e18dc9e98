"""What signals do to a run, wherever it is at that moment."""

from __future__ import annotations

import io
import logging
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import Organisation
from tap_zoho_bulk.tap import TapZohoBulk
from tests.support.organisations import small_organisation
from tests.support.singer import FAST

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import TapCommand


@pytest.mark.parametrize("third", [False, True])
def test_ctrl_c_in_meltano_is_one_stop_but_a_third_signal_ends_the_tap(
    tap: TapCommand, serve: Serve, *, third: bool
) -> None:
    """On Ctrl-C, Meltano's child gets SIGINT from the terminal and SIGTERM from Meltano."""
    organisation = Organisation.generate(only=["Deals"], sizes={"Deals": 8_000}, awkward=0)
    server = serve(organisation, page_size=4_000)
    running = tap.start(server.tap_config(**FAST))
    running.stall_in_a_page()

    running.interrupt()
    running.wait_for_event("run_stopping")
    running.terminate()
    if third:
        running.interrupt_until_it_ends()
        assert running.end()[0] in {-signal.SIGINT, -signal.SIGTERM}
        return
    running.taken.set()
    stopped = tap.finish(running, server)
    rest = tap.sync(server, state=stopped.state)

    assert stopped.exit_code == 128 + signal.SIGINT
    assert stopped.event("run_ended")["outcome"] == "stopped"
    both = {each["id"]: each for run in (stopped, rest) for each in run.records("Deals")}
    assert both == organisation.truth("Deals")


def test_a_signal_waits_for_no_lock(serve: Serve) -> None:
    """The main thread may hold one that another thread waits for, while that holds the log's."""
    server = serve(small_organisation({"Rooms": 1}))
    tap = TapZohoBulk(config=server.tap_config(**FAST))
    log = logging.StreamHandler(io.StringIO())
    tap.logger.addHandler(log)
    try:
        log.acquire()
        signalled = threading.Thread(target=lambda: tap.run and tap.stop(signal.SIGINT))
        signalled.start()
        signalled.join(10)
        assert not signalled.is_alive()
    finally:
        log.release()
        signalled.join()
        assert tap.run.stop.wait(10)
        tap.logger.removeHandler(log)
