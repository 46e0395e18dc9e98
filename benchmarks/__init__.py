"""Benchmarks: `python -m benchmarks` measures what README says of the tap's speed."""
