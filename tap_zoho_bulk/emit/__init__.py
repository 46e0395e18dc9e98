"""Chunks to what a target reads: RECORD lines and BATCH files."""
