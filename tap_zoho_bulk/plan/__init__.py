"""What a sync would do and cost, found out before it starts a job."""
