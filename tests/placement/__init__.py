"""Executors that run on task queues of their own."""
