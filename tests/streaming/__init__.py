"""The stream a caller reads: durable events, live ones, and reading on elsewhere."""
