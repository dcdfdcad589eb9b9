"""Checkpoints in Temporal history: listed, loaded, forked, resumed elsewhere, and refused."""
