"""Tests of `login`."""
