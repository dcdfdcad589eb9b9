"""Sealed payloads: what is sealed, what is refused, and how they are shown."""
