"""The facade, and all that runs in a caller's process."""
