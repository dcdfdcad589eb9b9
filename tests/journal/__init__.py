"""What finished inside a superstep is taken by its next attempt."""
