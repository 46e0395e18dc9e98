"""The streams, one file for each source of records."""
