"""What a caller of the facade meets, against the real server."""
