"""The boundary to the server: what it refuses, and when."""
