"""Deadlines: a response ends in time, however slowly its bytes come.

A socket's timeout starts again with each byte, so a server that sends one byte a second could hold
a request for ever: in the status line, headers, interim responses, chunk sizes or the body. Python
itself bounds a TLS handshake, and a connection to each of a host's addresses, by the timeout.

Invariant: no byte of a response is waited for past the deadline of the thread that reads it.
"""

from __future__ import annotations

import http.client
import io
import math
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from typing_extensions import override

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer


class _Deadline(threading.local):
    at = math.inf  # on the monotonic clock


class DeadlineAdapter(HTTPAdapter):
    """Sends requests as usual, and receives responses until the current thread's deadline.

    Args:
        pool_maxsize: Connections to keep for each host.
    """

    def __init__(self, *, pool_maxsize: int) -> None:
        self._deadline = _Deadline()
        super().__init__(pool_maxsize=pool_maxsize)

    def set_deadline(self, seconds: float) -> None:
        """Set when the response that this thread receives must be complete.

        Args:
            seconds: From now.
        """
        self._deadline.at = time.monotonic() + seconds

    @override
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        kind = pool.ConnectionCls
        if kind.response_class is http.client.HTTPResponse:
            # The connection also reads a proxy's responses with this class.
            response_class = staticmethod(partial(_Response, self._deadline))
            pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": response_class})
        return pool


class _Response(http.client.HTTPResponse):
    """A response whose bytes come from a `_Reader`."""

    def __init__(self, deadline: _Deadline, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(deadline, sock, self.fp.detach()))


class _Reader(io.RawIOBase):
    """Reads a socket until the deadline, and waits no longer for more than its timeout at first."""

    def __init__(self, deadline: _Deadline, sock: socket.socket, file: io.RawIOBase) -> None:
        self._deadline = deadline
        self._socket = sock
        self._file = file
        self._timeout = sock.gettimeout()

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int | None:
        seconds = self._deadline.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds if self._timeout is None else min(seconds, self._timeout))
        return self._file.readinto(buffer)

    @override
    def close(self) -> None:
        self._file.close()
        super().close()
