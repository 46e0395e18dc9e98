"""A page's bytes to chunks of typed columns. One decoder for each file type."""
