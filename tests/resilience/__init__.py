"""Tests that no data is lost and no secret leaks, whatever goes wrong."""
