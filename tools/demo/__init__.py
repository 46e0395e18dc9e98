"""A sync into a warehouse, checked value by value: `make demo`."""
