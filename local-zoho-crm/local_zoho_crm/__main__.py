"""The console command `local-zoho-crm`: run the server, and change its records while it runs."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from local_zoho_crm import Organisation, ZohoServer
from local_zoho_crm.admin.client import AdminClient, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from local_zoho_crm import LoggedRequest

DEFAULT_PORT = 18766
PORT_VARIABLE = "LOCAL_ZOHO_CRM_PORT"

_Parser = argparse.ArgumentParser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except CommandError as error:
        sys.exit(f"Error: {error}")


def _serve(options: argparse.Namespace) -> None:
    """Serve a generated organisation until Ctrl-C or SIGTERM."""
    try:
        organisation = Organisation.generate(
            seed=options.seed,
            sizes=dict(options.size),
            only=options.only,
            time_zone=options.time_zone,
            awkward=options.awkward,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    server = ZohoServer(
        organisation,
        port=options.port,
        page_size=options.page_size,
        job_seconds=options.job_seconds,
        parallel_jobs=options.parallel_jobs,
        downloads_per_minute=options.downloads_per_minute,
        tokens_per_ten_minutes=options.tokens_per_ten_minutes,
        latency=options.latency,
        redirect_uris=options.redirect_uri,
        admin=True,
    )
    if not options.quiet:
        server.on_response = _log
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        try:
            stack.enter_context(server)
        except OSError as error:
            raise CommandError(f"The server cannot use port {options.port}: {error}") from error
        config = json.dumps(server.tap_config_by_hand(), indent=2)
        if options.write_config:
            # Rename a complete file into place, so that no reader sees an incomplete one.
            draft = options.write_config.with_name(options.write_config.name + ".draft")
            draft.write_text(config + "\n", encoding="utf-8")
            draft.replace(options.write_config)
        print(config, flush=True)
        print(
            f"Zoho CRM is at {server.url}, its admin page at {server.url}/_local/. "
            "Press Ctrl-C to stop.",
            file=sys.stderr,
            flush=True,
        )
        stop.wait()
    print(f"{server.credits} API credits used.", file=sys.stderr, flush=True)


def _client(options: argparse.Namespace) -> AdminClient:
    return AdminClient(options.port, wait_seconds=options.wait)


def _config(options: argparse.Namespace) -> None:
    print(json.dumps(_client(options).config(), indent=2))


def _client_config(options: argparse.Namespace) -> None:
    config = _client(options).config()
    del config["refresh_token"]
    print(json.dumps(config, indent=2))


def _code(options: argparse.Namespace) -> None:
    print(_client(options).code(options.scopes))


def _modules(options: argparse.Namespace) -> None:
    for each in _client(options).modules():
        print(each["module"], each["records"], each["deleted"], sep="\t")


def _records(options: argparse.Namespace) -> None:
    for each in _client(options).records(options.module):
        print(each["id"], each["name"], sep="\t")


def _add(options: argparse.Namespace) -> None:
    print(_client(options).add(options.module, dict(options.values)))


def _change(options: argparse.Namespace) -> None:
    _client(options).change(options.module, options.id, dict(options.values))


def _delete(options: argparse.Namespace) -> None:
    _client(options).delete(options.module, options.id, permanent=options.permanent)


def _log(request: LoggedRequest) -> None:
    print(request, file=sys.stderr, flush=True)


def _size(text: str) -> tuple[str, int]:
    module, _, size = text.partition("=")
    return module, int(size)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    return name, value


def _limit(text: str) -> int | None:
    """Parse a limit: none and 0 turn it off."""
    return None if text == "none" else int(text) or None


def parser() -> _Parser:
    """Return the parser of the command line."""
    made = _Parser(prog="local-zoho-crm", description="A local Zoho CRM for development and tests.")
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], None], text: str, *parents: _Parser
    ) -> _Parser:
        added = commands.add_parser(name, help=text, description=text, parents=parents)
        added.set_defaults(run=run)
        return added

    port, running, module, record, values = _shared_arguments()
    command("serve", _serve, "Serve a generated organisation.", port, _serve_arguments())
    command("config", _config, "Print a complete configuration for the tap.", port, running)
    command(
        "client",
        _client_config,
        "Print the configuration to sign in with: no refresh token.",
        port,
        running,
    )
    code = command("code", _code, "Print a new grant code for a self client.", port, running)
    code.add_argument("--scopes", help="separated by commas (default: all that the tap needs)")
    command("modules", _modules, "List modules: name, records, deleted records.", port, running)
    command("records", _records, "List a module's newest records.", port, running, module)
    command("add", _add, "Add a record and print its id.", port, running, module, values)
    command("change", _change, "Change a record.", port, running, module, record, values)
    delete = command("delete", _delete, "Delete a record.", port, running, module, record)
    delete.add_argument("--permanent", action="store_true", help="not only to the recycle bin")
    return made


def _shared_arguments() -> Iterator[_Parser]:
    """Yield parents: of the port, of a running server, and of what is changed there."""
    port = _Parser(add_help=False)
    port.add_argument(
        "--port",
        type=int,
        default=os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT)),
        help=f"the server's; 0 serves on a free one (default: ${PORT_VARIABLE} or {DEFAULT_PORT})",
    )
    yield port
    running = _Parser(add_help=False)
    running.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="maximum wait for a server that is still starting (default: 0)",
    )
    yield running
    module = _Parser(add_help=False)
    module.add_argument("module", metavar="MODULE", help="API name, such as Leads")
    yield module
    record = _Parser(add_help=False)
    record.add_argument("id", metavar="ID", help="the record's id")
    yield record
    values = _Parser(add_help=False)
    values.add_argument(
        "values",
        type=_assignment,
        nargs="*",
        metavar="FIELD=VALUE",
        help="API name and value, which may be empty",
    )
    yield values


def _serve_arguments() -> _Parser:
    serve = _Parser(add_help=False)
    serve.add_argument("--seed", type=int, default=1, help="of the generated data (default: 1)")
    serve.add_argument(
        "--size",
        type=_size,
        action="append",
        default=[],
        metavar="MODULE=RECORDS",
        help="number of records in a module; repeatable",
    )
    serve.add_argument(
        "--only", action="append", metavar="MODULE", help="serve only this module; repeatable"
    )
    serve.add_argument(
        "--awkward", type=float, default=0.05, help="share of awkward values (default: 0.05)"
    )
    serve.add_argument(
        "--time-zone",
        default="America/Los_Angeles",
        help="of the user (default: America/Los_Angeles)",
    )
    serve.add_argument(
        "--page-size", type=int, default=200_000, help="records per job (default: 200000)"
    )
    serve.add_argument(
        "--job-seconds", type=float, default=0.0, help="how long a job runs (default: 0)"
    )
    serve.add_argument("--parallel-jobs", type=int, help="jobs that run at once (default: any)")
    serve.add_argument(
        "--latency", type=float, default=0.0, help="minimum seconds per request (default: 0)"
    )
    serve.add_argument(
        "--downloads-per-minute",
        type=_limit,
        default=10,
        metavar="N",
        help="`none` for no limit (default: 10, as at Zoho)",
    )
    serve.add_argument(
        "--tokens-per-ten-minutes",
        type=_limit,
        default=10,
        metavar="N",
        help="`none` for no limit (default: 10, as at Zoho)",
    )
    serve.add_argument(
        "--redirect-uri",
        action="append",
        default=["http://127.0.0.1:18765/callback"],
        metavar="URI",
        help="one more of the client, for consent in a browser; repeatable "
        "(always: http://127.0.0.1:18765/callback)",
    )
    serve.add_argument(
        "--write-config", type=Path, metavar="FILE", help="also write the configuration to FILE"
    )
    serve.add_argument("--quiet", action="store_true", help="do not log requests")
    return serve


if __name__ == "__main__":
    main()
