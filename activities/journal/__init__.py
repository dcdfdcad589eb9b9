"""What finished inside a superstep: kept beside its heartbeat, so that the next attempt takes it and repeats none."""
