"""A model on a worker of its own: two worker pools, one task queue each."""
