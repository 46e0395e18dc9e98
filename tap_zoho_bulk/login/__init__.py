"""`tap-zoho-bulk-login`: from a client of Zoho's API console to a config for the tap."""
