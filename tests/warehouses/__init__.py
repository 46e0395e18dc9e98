"""Tests of `warehouses`."""
