"""A server of prepared pages: just enough of Zoho for chains of jobs, and next to no work.

`python -m benchmarks.server DIRECTORY ROWS PARALLEL NAME:PAGES:SECONDS …` serves modules. Each has
so many pages, which are DIRECTORY's ZIPs of ROWS records, over and over if they are fewer. A job of
the module runs so many seconds, at the same time as others, or after them if PARALLEL is 0. The
server prints its URL, and ends with stdin.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

_NOW = "2026-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Module:
    """A module that the server has.

    Args:
        name: API name.
        pages: Number of its pages.
        job_seconds: How long a job takes that exports one of them.
    """

    name: str
    pages: int
    job_seconds: float = 0.0

    def __str__(self) -> str:
        """Return the module as the command line has it."""
        return f"{self.name}:{self.pages}:{self.job_seconds}"

    @classmethod
    def parse(cls, text: str) -> Module:
        """Parse a module of the command line."""
        name, pages, job_seconds = text.split(":")
        return cls(name, int(pages), float(job_seconds))


class _Page(NamedTuple):
    """A page of a module; as text, the ID of its job and the token with which it is asked for."""

    module: str
    number: int

    def __str__(self) -> str:
        return f"{self.module}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> _Page:
        module, _, number = text.rpartition("-")
        return cls(module, int(number))


class _Jobs:
    """When each job ends."""

    def __init__(self, modules: list[Module], *, parallel: bool) -> None:
        self.pages = {module.name: module.pages for module in modules}
        self._seconds = {module.name: module.job_seconds for module in modules}
        self._parallel = parallel
        self._lock = threading.Lock()
        self._ends: dict[_Page, float] = {}
        self._free_from = 0.0

    def create(self, page: _Page) -> None:
        with self._lock:
            now = time.monotonic()
            starts = now if self._parallel else max(now, self._free_from)
            self._ends[page] = self._free_from = starts + self._seconds[page.module]

    def is_completed(self, page: _Page) -> bool:
        return time.monotonic() >= self._ends[page]


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise, a body waits until the client has acknowledged the headers.
    disable_nagle_algorithm = True

    def __init__(
        self, *args: Any, archives: list[bytes], rows: int, jobs: _Jobs, **kwargs: Any
    ) -> None:
        self._archives = archives
        self._rows = rows
        self._jobs = jobs
        super().__init__(*args, **kwargs)

    def do_POST(self) -> None:
        """Issue a token, or create a job."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/oauth"):
            self._json({"access_token": "token", "expires_in": 3600})
            return
        query = json.loads(body)["query"]
        token = query.get("page_token")
        page = _Page.parse(token) if token else _Page(query["module"]["api_name"], 1)
        self._jobs.create(page)
        created = {"id": str(page), "created_time": _NOW}
        self._json({"data": [{"status": "success", "details": created}]})

    def do_GET(self) -> None:
        """Report a job's state, or send its result."""
        path = self.path.rstrip("/")
        if path.endswith("/result"):
            page = _Page.parse(path.split("/")[-2])
            archive = self._archives[(page.number - 1) % len(self._archives)]
            self._send(archive, "application/x-download")
            return
        page = _Page.parse(path.split("/")[-1])
        if not self._jobs.is_completed(page):
            self._json({"data": [{"state": "IN PROGRESS"}]})
            return
        more = page.number < self._jobs.pages[page.module]
        result = {
            "count": self._rows,
            "download_url": f"{path}/result",
            "more_records": more,
            "next_page_token": str(page._replace(number=page.number + 1)) if more else None,
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
    directory, rows, parallel, *modules = sys.argv[1:]
    handler = partial(
        _Handler,
        archives=[path.read_bytes() for path in sorted(Path(directory).glob("*.zip"))],
        rows=int(rows),
        jobs=_Jobs(list(map(Module.parse, modules)), parallel=parallel != "0"),
    )
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()
