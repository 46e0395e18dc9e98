"""Tests of `meltano`."""
