"""Temporal's limits: whatever is too large, no run is stuck or terminated by it."""
