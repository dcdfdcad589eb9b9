"""Tests of AG-UI and MCP, with their own clients, against a real server and over real sockets."""
