"""The one generic Temporal workflow and its wire models; nothing here imports the framework."""
