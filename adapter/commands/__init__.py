"""The commands besides the CLI, and what commands share."""
