"""Tests of the tap as a Meltano plugin."""
