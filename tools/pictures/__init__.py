"""The pictures in README: the live view and the report of a run against a local Zoho CRM."""
