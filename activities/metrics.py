"""Metrics of supersteps, on the SDK's own meter: with its metrics they go to Prometheus or to OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from temporalio import activity

from ..adapter.framework.tracing import note_calls
from ..workflows.messages import SuperstepResult
from .journal.journal import Journal

SUPERSTEPS = "agent_framework_supersteps"
CHECKPOINT_BYTES = "agent_framework_checkpoint_bytes"
HISTORY_BYTES = "agent_framework_checkpoint_history_bytes"
PENDING_REQUESTS = "agent_framework_pending_requests"
RESTORES = "agent_framework_restores"
CALLS = "agent_framework_calls"
TOKENS = "agent_framework_tokens"
JOURNAL_BYTES = "agent_framework_journal_bytes"
JOURNAL_DROPPED = "agent_framework_journal_dropped"

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
    burst = sum(found.kind is None for found in result.between)
    by_state.create_counter(SUPERSTEPS, "Supersteps that have ended").add(1 + burst)
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


@contextmanager
def calls_counted(workflow_name: str, journal: Journal | None) -> Iterator[None]:
    """Count what the body calls, however it ends: in metrics, and in the attributes of the span that is current.

    Args:
        workflow_name: Name of the framework workflow.
        journal: The superstep's.
    """
    try:
        yield
    finally:
        if journal is not None and journal.noted:
            _count_calls(workflow_name, journal)


def _count_calls(workflow_name: str, journal: Journal) -> None:
    tally = journal.tally
    note_calls(tally.calls, tally.taken, tally.spent.input, tally.spent.output)
    meter = activity.metric_meter().with_additional_attributes({"framework_workflow": workflow_name})
    for source, counts in (("made", tally.calls), ("taken", tally.taken)):
        for kind, number in counts.items():
            by_kind = meter.with_additional_attributes({"kind": kind, "source": source})
            by_kind.create_counter(CALLS, "Calls made, or taken from the journal instead").add(number)
    for direction, tokens in (("input", tally.spent.input), ("output", tally.spent.output)):
        if tokens:
            by_direction = meter.with_additional_attributes({"direction": direction})
            by_direction.create_counter(TOKENS, "Tokens that chat clients have reported").add(tokens)
    if tally.dropped:
        meter.create_counter(JOURNAL_DROPPED, "Entries a journal had no room for").add(tally.dropped)
    meter.create_histogram(JOURNAL_BYTES, "Packed size of a superstep's journal", "By").record(journal.packed_size)
