"""Tests of the durable runtime."""
