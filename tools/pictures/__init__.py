"""The documentation's pictures: a plan, the live view and the report of a run, and a fleet."""
