"""Tests of `bulk_read`."""
