"""Tests of the repository: documentation, releases, benchmarks, structure."""
