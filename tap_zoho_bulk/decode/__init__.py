"""A page's bytes to chunks of typed columns. One decoder a file type."""
