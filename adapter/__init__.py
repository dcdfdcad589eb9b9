"""What callers, workers and commands are made of, room by room; see docs/architecture.md."""
