"""Tests of `tap_zoho_bulk/plan`."""
