"""Bursts: several supersteps in one activity."""
