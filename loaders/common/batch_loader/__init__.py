"""What the loaders share: input that outlives Ctrl-C, and the files that BATCH messages name."""
