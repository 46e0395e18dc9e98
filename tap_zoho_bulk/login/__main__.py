"""`python -m tap_zoho_bulk.login`."""

from tap_zoho_bulk.login.command import command

command(prog_name="tap-zoho-bulk-login")
