"""Steering threads: editing their checkpoints."""
