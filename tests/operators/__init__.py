"""What operators do to a live thread with Temporal's own command line."""
