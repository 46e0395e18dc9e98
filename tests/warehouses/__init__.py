"""Tests of complete pipelines into warehouses."""
