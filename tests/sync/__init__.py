"""Tests of complete runs, through the command line."""
