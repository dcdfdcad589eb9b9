"""Metrics of supersteps, on the SDK's own meter: with its metrics they go to Prometheus or to OpenTelemetry."""

from __future__ import annotations

from typing import Literal

from temporalio import activity

from ..workflows.messages import SuperstepResult

SUPERSTEPS = "agent_framework_supersteps"
CHECKPOINT_BYTES = "agent_framework_checkpoint_bytes"
HISTORY_BYTES = "agent_framework_checkpoint_history_bytes"
PENDING_REQUESTS = "agent_framework_pending_requests"
RESTORES = "agent_framework_restores"

Source = Literal["live", "cache", "history"]
"""Where a superstep's base came from: an instance that stands there, its raw checkpoint in memory, or history."""


def count_superstep(workflow_name: str, result: SuperstepResult) -> None:
    """Count a superstep that has ended, and measure its checkpoint and what waits.

    Args:
        workflow_name: Name of the framework workflow.
        result: What is committed.
    """
    meter = activity.metric_meter().with_additional_attributes({"framework_workflow": workflow_name})
    by_state = meter.with_additional_attributes({"state": result.state})
    by_state.create_counter(SUPERSTEPS, "Supersteps that have ended").add(1)
    if result.checkpoint is not None:
        facts = result.checkpoint
        meter.create_histogram(CHECKPOINT_BYTES, "Raw size of checkpoints", "By").record(facts.size_bytes)
        meter.create_histogram(HISTORY_BYTES, "Size of checkpoints in history", "By").record(facts.frame_bytes)
    if result.pending:
        waiting = meter.create_histogram(PENDING_REQUESTS, "Requests pending after a superstep that left some")
        waiting.record(len(result.pending))


def count_restore(workflow_name: str, source: Source) -> None:
    """Count where a superstep's base came from."""
    meter = activity.metric_meter().with_additional_attributes({"framework_workflow": workflow_name, "source": source})
    meter.create_counter(RESTORES, "Bases of supersteps").add(1)
