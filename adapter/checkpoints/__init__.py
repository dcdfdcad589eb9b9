"""Checkpoints as bytes, in history and in storages."""
