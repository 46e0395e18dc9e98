"""The command line of `tap-zoho-bulk-login`.

Invariant: stdout carries the config and nothing else; no secret is shown anywhere else.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from jsonschema import Draft202012Validator

from tap_zoho_bulk.api.auth import accounts_url
from tap_zoho_bulk.crm.data_centers import API_SUBDOMAINS, DATA_CENTERS
from tap_zoho_bulk.crm.scopes import SCOPE_TEXT
from tap_zoho_bulk.exceptions import SettingsError, SignInError, TapZohoBulkError
from tap_zoho_bulk.login.callback import Callback, redirect_uri
from tap_zoho_bulk.login.config_file import ConfigFile, EnvFormat, JsonFormat
from tap_zoho_bulk.login.consent import Consent, Grant, UnrelatedResponseError, parse_code
from tap_zoho_bulk.login.exchange import exchange, missing_scopes
from tap_zoho_bulk.reporting.printable import PrintableRecord, printable
from tap_zoho_bulk.settings import CONFIG_JSONSCHEMA, config_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PORT = 18765
SECRET_VARIABLE = "TAP_ZOHO_BULK_CLIENT_SECRET"  # noqa: S105 - a name

_OWN_SETTINGS = ("client_id", "data_center", "environment", "accounts_url", "api_url")
_PROMPT = "?"
_STDIN = "-"


def _setting(name: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return an option for one of the tap's settings."""
    return click.option(
        f"--{name.replace('_', '-')}",
        envvar=f"TAP_ZOHO_BULK_{name.upper()}",
        show_envvar=True,
        help=CONFIG_JSONSCHEMA["properties"][name]["description"],
        **attributes,
    )


@click.command(name="tap-zoho-bulk-login")
@_setting("client_id")
@_setting("data_center", type=click.Choice(DATA_CENTERS))
@_setting("environment", type=click.Choice(API_SUBDOMAINS))
@_setting("accounts_url", metavar="URL")
@_setting("api_url", metavar="URL")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; its other settings stay. By default, the config goes to stdout.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["json", "env"]),
    default="json",
    show_default=True,
    help="Write a JSON config, or environment variables for the .env of a Meltano project.",
)
@click.option(
    "--code",
    is_flag=False,
    flag_value=_PROMPT,
    metavar="[CODE]",
    help="Use a self client's code instead of Zoho's consent page. `-` reads it from stdin; "
    "without a value, the command prompts for it.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port on which to wait for the browser.",
)
@click.option(
    "--no-browser", is_flag=True, help="Print Zoho's address instead of opening a browser."
)
@click.option(
    "--timeout",
    type=click.IntRange(min=1),
    default=600,
    show_default=True,
    help="Seconds to wait for consent.",
)
@click.option(
    "--accept-missing-scopes",
    is_flag=True,
    help="Write the config even if scopes are missing that a complete sync needs.",
)
@click.option("--force", is_flag=True, help="Change a config file that belongs to another client.")
@click.version_option(package_name="tap-zoho-bulk")
def command(**options: Any) -> None:
    """Sign in to Zoho CRM once, and get a config for tap-zoho-bulk.

    The client comes from Zoho's API console. The command prompts for
    its secret, or reads it from the environment variable TAP_ZOHO_BULK_CLIENT_SECRET; never pass
    a secret on the command line.
    """
    logging.setLogRecordFactory(PrintableRecord)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        _sign_in(options)
    except TapZohoBulkError as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(error.exit_code)


def _sign_in(options: dict[str, Any]) -> None:
    file_format = EnvFormat() if options["file_format"] == "env" else JsonFormat()
    output = ConfigFile(options["output"], file_format) if options["output"] else None
    before = output.read() if output else {}
    if output:
        output.check_writable()
    config = _settings(options, before)
    grant = _grant(options, config)
    if grant.data_center not in {None, config["data_center"]}:
        _print(
            f"The account is in the data center {grant.data_center}, not "
            f"{config['data_center']}; continuing with {grant.data_center}. If the client is not "
            "valid there, enable that data center in the client's settings in Zoho's API "
            "console, and use the secret shown for it."
        )
        config["data_center"] = grant.data_center
    elif grant.data_center is None and (grant.location or grant.accounts_server):
        _print(
            "Zoho's response has a data center that the tap does not support; continuing with "
            f"{config['data_center']}."
        )
    response = exchange(grant, config)
    config["refresh_token"] = response["refresh_token"]
    config = {name: config[name] for name in CONFIG_JSONSCHEMA["properties"] if name in config}
    _check_scopes(response, config, accept=options["accept_missing_scopes"])
    if output is None:
        click.echo(file_format.merge(None, config), nl=False)
        return
    output.merge(config)
    trial = (
        "meltano invoke tap-zoho-bulk --test"
        if options["file_format"] == "env"
        else f"tap-zoho-bulk --config {output.path} --test"
    )
    _print(f"Wrote {output.path}. Try it: {trial}")


def _settings(options: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the login needs: from options, from the file, or prompted for."""
    given = {name: options[name] for name in _OWN_SETTINGS if options[name]}
    known_client = before.get("client_id")
    if known_client is not None and given.get("client_id", known_client) != known_client:
        if not options["force"]:
            raise SettingsError(
                f"{options['output']} belongs to another client. Choose another file, or use "
                "--force to change its client."
            )
        known_client = None
    config = {name: before[name] for name in _OWN_SETTINGS if before.get(name) is not None} | given
    if "client_id" not in config:
        config["client_id"] = _prompt("Client ID", "--client-id or TAP_ZOHO_BULK_CLIENT_ID")
    if secret := os.environ.get(SECRET_VARIABLE):
        config["client_secret"] = secret
    elif known_client is not None and before.get("client_secret"):
        config["client_secret"] = before["client_secret"]
        _print(
            f"Using the client secret in {options['output']}; set {SECRET_VARIABLE} to override it."
        )
    else:
        config["client_secret"] = _prompt("Client secret", SECRET_VARIABLE, hide_input=True)
    if "data_center" not in config:
        can_prompt = sys.stdin.isatty() and "accounts_url" not in config
        config["data_center"] = (
            _prompt("Data center", "", type=click.Choice(DATA_CENTERS), default="us")
            if can_prompt
            else "us"
        )
    _check(config)
    return config


def _check(config: Mapping[str, Any]) -> None:
    """Raise for invalid values before they are used, without showing them: some are secret."""
    properties = CONFIG_JSONSCHEMA["properties"]
    for name, value in config.items():
        if not Draft202012Validator(properties[name]).is_valid(value):
            raise SettingsError(f"`{name}` is not valid.")
    for problem in config_problems(config):
        raise SettingsError(f"Wrong setting: {problem}.")


def _prompt(what: str, instead: str, **attributes: Any) -> str:
    if not sys.stdin.isatty():
        raise SettingsError(
            f"There is no terminal to prompt for the {what.lower()}: set {instead}."
        )
    text: str = click.prompt(what, err=True, **attributes)
    return text.strip()


def _grant(options: Mapping[str, Any], config: Mapping[str, Any]) -> Grant:
    """Return the grant, from a self client's code or a consent page."""
    code = options["code"]
    if code is None:
        return _consent(options, config)
    if code == _PROMPT:
        _print(
            "In Zoho's API console (https://api-console.zoho.com, or that of your data center), "
            "open the self client's tab Generate Code, choose ten minutes, and enter these "
            f"scopes:\n\n  {SCOPE_TEXT}\n"
        )
        code = _prompt("Code", "--code -, with the code on stdin")
    elif code == _STDIN:
        code = sys.stdin.readline()
    try:
        return Grant(parse_code(code))
    except UnrelatedResponseError as error:
        raise SignInError(str(error)) from error


def _consent(options: Mapping[str, Any], config: Mapping[str, Any]) -> Grant:
    url = accounts_url(config["data_center"], config.get("accounts_url"))
    consent = Consent(url, config["client_id"], redirect_uri(options["port"]))
    callback = Callback(consent)
    with callback.from_browser(options["port"]):
        opens = not options["no_browser"] and _has_browser()
        first = "Zoho's page opens in your browser. If it does not, open" if opens else "Open"
        _print(
            f"{first} this address in a browser, and accept:\n\n  {consent.url}\n\nThe client "
            f"needs {consent.redirect_uri} among its authorized redirect URIs."
        )
        if opens:
            _open(consent.url)
        if sys.stdin.isatty():
            callback.from_terminal(_print)
            _print(
                "If that browser is on another machine, it ends at a page that it cannot open: "
                "copy that page's complete address, and paste it here. You can also paste a self "
                "client's code."
            )
        return callback.wait(options["timeout"])


def _has_browser() -> bool:
    """Return whether there is a graphical browser; one in the terminal would be in the way."""
    if sys.platform in {"darwin", "win32"}:
        return "SSH_CONNECTION" not in os.environ
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _open(url: str) -> None:
    """Open the browser in a process of its own, without our stdout."""
    subprocess.Popen(  # noqa: S603 - Python itself
        [sys.executable, "-m", "webbrowser", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _check_scopes(response: Mapping[str, Any], config: Mapping[str, Any], *, accept: bool) -> None:
    """Report missing scopes and their purpose; raise if a required one is missing."""
    missing = missing_scopes(response, config)
    for scope in missing:
        _print(f"The scope {scope.name} is missing. The tap needs it for {scope.purpose}.")
    required = [scope.name for scope in missing if scope.required]
    if required and not accept:
        raise SignInError(
            f"No config was written, because the refresh token lacks {', '.join(required)}. Run "
            f"the command again with a code for all of {SCOPE_TEXT}, or use "
            "--accept-missing-scopes."
        )


def _print(text: str) -> None:
    click.echo("\n".join(map(printable, text.split("\n"))), err=True)
