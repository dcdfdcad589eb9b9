"""The same workflows and turns, run in process and run durably."""
