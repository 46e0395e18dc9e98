"""Tests of `tap_zoho_bulk/crm`."""
