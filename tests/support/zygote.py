"""Starts the tap's command line in many processes, and imports it only once.

A process that has imported the tap is forked for each run, so that a test can afford thousands of
runs, each with its own memory, files, signals and end. `tap_process.py` is the other side.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time

from tests.support.leaving_target import leaving_before

_FILES = 2
_MESSAGE_BYTES = 1 << 20


def main() -> None:
    """Serve the socket whose descriptor is the one argument; return in each forked child."""
    control = socket.socket(fileno=int(sys.argv[1]))
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([control.fileno(), wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            _reap(control)
        if control.fileno() in ready:
            message, files, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, _FILES)
            if not message:
                sys.exit(0)
            order = json.loads(message)
            pid = os.fork()
            if pid == 0:
                _become_the_tap(order, files, [control.fileno(), wake_read, wake_write])
                return
            for file in files:
                os.close(file)
            control.send(json.dumps({"order": order["order"], "pid": pid}).encode())


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        control.send(json.dumps({"pid": pid, "exit_code": code}).encode())


def _become_the_tap(order: dict[str, object], files: list[int], surplus: list[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for file in surplus:
        os.close(file)
    for file, standard in zip(files, (1, 2), strict=True):
        os.dup2(file, standard)
        os.close(file)
    arguments, environment = order["arguments"], order["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    sys.argv = ["tap-zoho-bulk", *arguments]
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    if order["leaves_before"]:
        sys.stdout = leaving_before(str(order["leaves_before"]))


if __name__ == "__main__":
    from tap_zoho_bulk.__main__ import main as run_the_tap
    from tap_zoho_bulk.api import client

    # Like the settings of `FAST`: tests wait less than Zoho requires.
    client.RENEWAL_PAUSES_SECONDS = (0.0, 0.01, 0.01)
    main()
    run_the_tap()  # Only children reach this; they end as the tap's own process would.
