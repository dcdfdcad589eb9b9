"""Tests of the HTTP API, against a real server and over a real socket."""
