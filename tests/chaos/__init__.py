"""Workers and servers that are killed at random under a mixed load, and a checker of what is left: `make chaos`."""
