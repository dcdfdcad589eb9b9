"""The command line, as a process against the real server."""
