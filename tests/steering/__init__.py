"""Threads that people steer."""
