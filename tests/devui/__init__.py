"""DevUI with a durable workflow, in a real browser."""
