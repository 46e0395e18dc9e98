"""The documentation's pictures: the live view and the report of a run."""
