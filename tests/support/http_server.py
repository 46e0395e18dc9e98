"""A small HTTP server in the test's own process."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from socketserver import BaseRequestHandler


_POLL_SECONDS = 0.02
"""Between two checks whether the block has ended."""


@contextmanager
def serving(
    handler: Callable[..., BaseRequestHandler], *, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve requests on a free port until the block ends.

    Args:
        handler: Creates the handler of a request.
        tls: Makes it HTTPS.

    Yields:
        The server's URL.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
