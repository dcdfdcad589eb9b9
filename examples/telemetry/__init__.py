"""Telemetry: one trace from the caller to the model, and metrics of supersteps."""
