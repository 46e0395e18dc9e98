"""A server of prepared pages: just enough of Zoho for one chain, and next to no work.

`python -m benchmarks.server DIRECTORY PAGES ROWS` serves DIRECTORY's ZIPs, as many pages as told,
over and over if they are fewer, each of ROWS records. It prints its URL, and ends with stdin.
"""

from __future__ import annotations

import json
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_NOW = "2026-01-01T00:00:00+00:00"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(
        self, *args: Any, archives: list[bytes], pages: int, rows: int, **kwargs: Any
    ) -> None:
        self._archives = archives
        self._pages = pages
        self._rows = rows
        super().__init__(*args, **kwargs)

    def do_POST(self) -> None:
        """Issue a token, or create a job whose ID is its page's number."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/oauth"):
            self._json({"access_token": "token", "expires_in": 3600})
            return
        page = json.loads(body)["query"].get("page_token", "1")
        created = {"id": page, "created_time": _NOW}
        self._json({"data": [{"status": "success", "details": created}]})

    def do_GET(self) -> None:
        """Report a job as completed, or send its result."""
        path = self.path.rstrip("/")
        if path.endswith("/result"):
            page = int(path.split("/")[-2])
            archive = self._archives[(page - 1) % len(self._archives)]
            self._send(archive, "application/x-download")
            return
        page = int(path.split("/")[-1])
        more = page < self._pages
        result = {
            "count": self._rows,
            "download_url": f"{path}/result",
            "more_records": more,
            "next_page_token": str(page + 1) if more else None,
        }
        self._json({"data": [{"state": "COMPLETED", "result": result}]})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""

    def _json(self, answer: Any) -> None:
        self._send(json.dumps(answer).encode(), "application/json")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until stdin ends."""
    directory, pages, rows = sys.argv[1:]
    archives = [path.read_bytes() for path in sorted(Path(directory).glob("*.zip"))]
    handler = partial(_Handler, archives=archives, pages=int(pages), rows=int(rows))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()
