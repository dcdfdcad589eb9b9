"""The journal of a superstep: what had finished in it is not done again."""
