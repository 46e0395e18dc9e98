"""Run the local Zoho CRM by hand: `python -m local_zoho_crm`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from local_zoho_crm import Organisation, ZohoServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_zoho_crm import LoggedRequest


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a generated organisation until Ctrl-C or SIGTERM."""
    options = _parser().parse_args(arguments)
    organisation = Organisation.generate(
        seed=options.seed,
        sizes=dict(options.size),
        only=options.only,
        time_zone=options.time_zone,
        awkward=options.awkward,
    )
    server = ZohoServer(
        organisation,
        port=options.port,
        page_size=options.page_size,
        job_seconds=options.job_seconds,
        parallel_jobs=options.parallel_jobs,
        downloads_per_minute=options.downloads_per_minute or None,
        tokens_per_ten_minutes=options.tokens_per_ten_minutes or None,
        latency=options.latency,
        redirect_uris=options.redirect_uri,
    )
    if not options.quiet:
        server.on_response = _log
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with server:
        config = json.dumps(server.tap_config(), indent=2)
        if options.write_config:
            # Renamed into place: who waits for the file finds all of it.
            draft = options.write_config.with_name(options.write_config.name + ".draft")
            draft.write_text(config + "\n", encoding="utf-8")
            draft.replace(options.write_config)
        print(config, flush=True)
        print(f"Zoho CRM is at {server.url}; Ctrl-C ends it.", file=sys.stderr, flush=True)
        stop.wait()
    print(f"{server.credits} API credits used.", file=sys.stderr, flush=True)


def _log(request: LoggedRequest) -> None:
    print(request, file=sys.stderr, flush=True)


def _size(text: str) -> tuple[str, int]:
    module, _, size = text.partition("=")
    return module, int(size)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_zoho_crm", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--seed", type=int, default=1, help="of the generated data")
    parser.add_argument(
        "--size", type=_size, action="append", default=[], metavar="Leads=1000", help="repeatable"
    )
    parser.add_argument("--only", action="append", metavar="MODULE", help="repeatable")
    parser.add_argument("--awkward", type=float, default=0.05, help="share of awkward values")
    parser.add_argument("--time-zone", default="America/Los_Angeles", help="of the user")
    parser.add_argument("--page-size", type=int, default=200_000, help="records of a job")
    parser.add_argument("--job-seconds", type=float, default=0.0, help="how long a job runs")
    parser.add_argument("--parallel-jobs", type=int, help="default: any number")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of each request")
    parser.add_argument(
        "--downloads-per-minute", type=int, default=10, help="0: no limit; default as at Zoho: 10"
    )
    parser.add_argument(
        "--tokens-per-ten-minutes", type=int, default=10, help="0: no limit; default as at Zoho: 10"
    )
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=["http://127.0.0.1:18765/callback"],
        metavar="URI",
        help="of the client, for consent in a browser; repeatable",
    )
    parser.add_argument("--write-config", type=Path, metavar="FILE", help="write the config there")
    parser.add_argument("--quiet", action="store_true", help="log no requests")
    return parser


if __name__ == "__main__":
    main()
