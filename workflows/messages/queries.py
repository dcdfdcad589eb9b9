"""Answers of the workflow's queries."""

from __future__ import annotations

from typing import Literal, TypeAlias

from .base import FairnessKey, FairnessWeight, PriorityKey, WireModel
from .records import (
    Calls,
    CheckpointRef,
    ErrorDetails,
    LoggedEvent,
    PauseReason,
    QueuedMessage,
    RefusedMessage,
)

RunState: TypeAlias = Literal["running", "waiting", "paused", "idle", "failed", "cancelled"]


class EventPage(WireModel):
    """Answer of query `events`."""

    run_id: str
    state: RunState | str
    events: list[LoggedEvent]
    first_offset: int
    """Oldest offset still in the ring; older events are in history."""
    next_offset: int


class RunStatus(WireModel):
    """Answer of query `status`."""

    workflow_name: str
    thread_id: str
    run_id: str
    state: RunState | str
    superstep: int
    executors: list[str]
    checkpoint: CheckpointRef | None = None
    graph_hash: str | None = None
    next_offset: int
    pending_requests: list[str]
    attempts: int = 1
    """Attempts that the last committed superstep took. Those of a running one the server knows, not the workflow."""
    failure: ErrorDetails | None = None
    """Of a paused run: what its last superstep failed with."""
    calls: Calls | None = None
    """What the run has called so far, with the runs it was continued from; left out where nothing was."""
    queued_messages: list[QueuedMessage] | None = None
    """Messages that wait for their turn, the next one first; left out where there are none."""
    refused_messages: list[RefusedMessage] | None = None
    """The last messages that were taken and are not run; left out where there are none."""
    pause: PauseReason | None = None
    """What a healthy run is held for before its next superstep, or will be; its state is `paused` once it is."""
    ending: str | None = None
    """Superstep whose burst is to end when what it runs now has finished; left out where none is."""
    breakpoints: list[str] | None = None
    priority: PriorityKey | None = None
    """Of the run's activities; left out where it is the server's."""
    fairness_key: FairnessKey | None = None
    fairness_weight: FairnessWeight | None = None
