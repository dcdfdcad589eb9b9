"""What runs on a worker: the superstep activity, its checkpoint cache, and the framework run inside it."""
