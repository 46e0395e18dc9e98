"""What a run reports: events, cost and progress, and how the user sees them."""
