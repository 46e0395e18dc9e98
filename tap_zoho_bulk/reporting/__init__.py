"""What a run reports: events, cost, progress."""
