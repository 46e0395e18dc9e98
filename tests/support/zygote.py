"""Starts a program in many processes, and imports it only once.

A process that has imported the program is forked for each run, so that a test can afford thousands
of runs, each with its own memory, files, signals and end. `program.py` is the other side.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from pkgutil import resolve_name
from typing import Any

from tap_zoho_bulk.api import client
from tests.support.leaving_target import leaving_before

_FILES = 2
_MESSAGE_BYTES = 1 << 20


def main() -> None:
    """Serve the socket whose descriptor is the first argument; return in each forked child."""
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
                _become_the_program(order, files, [control.fileno(), wake_read, wake_write])
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


def _become_the_program(order: dict[str, Any], files: list[int], surplus: list[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for file in surplus:
        os.close(file)
    for file, standard in zip(files, (1, 2), strict=True):
        os.dup2(file, standard)
        os.close(file)
    sys.argv = order["command"]
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    if order["leaves_before"]:
        sys.stdout = leaving_before(order["leaves_before"])


if __name__ == "__main__":
    program = resolve_name(sys.argv[2])
    if sys.argv[2].startswith("tap_zoho_bulk"):
        # Like the settings of `FAST`: tests wait less than Zoho requires.
        client.RENEWAL_PAUSES_SECONDS = (0.0, 0.01, 0.01)
    main()
    sys.exit(program())  # Only children reach this; they end as the program's own process would.
