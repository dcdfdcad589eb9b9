"""The HTTP API, and the console's pages: threads, their events, requests and checkpoints, over the client room."""
