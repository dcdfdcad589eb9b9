"""The requests of a run, and what people do with them."""
