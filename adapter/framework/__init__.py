"""The one room that knows private names of the framework."""
