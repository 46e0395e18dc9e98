"""Tests of `tap_zoho_bulk/bulk_read`."""
