"""Long runs: `make soak` for all of it, a short form with the other tests."""
