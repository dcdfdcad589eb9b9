"""Checkpoints copied into other storages, and threads that go on from there."""
