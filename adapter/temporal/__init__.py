"""Temporal as this package uses it: client, payload converter, sealing, storage drivers, search attributes."""
