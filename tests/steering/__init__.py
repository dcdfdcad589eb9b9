"""Threads that people steer: superstep by superstep, and by the clock."""
