"""What Temporal's Web UI shows of a run."""
