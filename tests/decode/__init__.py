"""Tests of `decode`."""
