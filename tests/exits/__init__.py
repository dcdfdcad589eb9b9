"""Processes that end right after they have used a client."""
