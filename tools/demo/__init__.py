"""A sync into a warehouse to watch: `make demo`."""
