"""A functional workflow: plain Python with steps, a request to a person, and a worker that fails in the middle."""
