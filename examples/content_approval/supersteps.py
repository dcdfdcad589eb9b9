"""What Temporal itself knows of a run's supersteps: the one in hand, and the committed ones in its history."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from agent_framework_temporal import Checkpoint
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode


@dataclass(frozen=True)
class InHand:
    """The superstep activity that is under way."""

    activity_id: str
    attempt: int
    started: bool
    """Whether a worker runs it; else it waits for one."""
    worker: str
    failure: str
    """What ended the attempt before this one."""


@dataclass(frozen=True)
class Committed:
    """A superstep whose result is in the history."""

    number: int
    executors: tuple[str, ...]
    attempts: int
    worker: str
    failure: str
    """What ended the attempt before the one that committed it."""
    taken: Counter[str] = field(default_factory=Counter)
    """By kind: calls that it did not make, as its journal had them from the attempt before."""


async def in_hand(client: Client, checkpoint: Checkpoint) -> InHand | None:
    """Ask the server which superstep is under way: one round trip, no history event, no worker needed."""
    try:
        description = await client.get_workflow_handle(checkpoint.thread_id).describe()
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.UNAVAILABLE):
            return None  # Not started yet, or stopped already: the run's own stream tells which.
        raise
    for activity in description.raw_description.pending_activities:
        return InHand(
            activity_id=activity.activity_id,
            attempt=activity.attempt,
            started=activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
            worker=pid_of(activity.last_worker_identity),
            failure=activity.last_failure.message,
        )
    return None


async def committed(client: Client, checkpoint: Checkpoint) -> list[Committed]:
    """Read the committed supersteps of the thread's last run from its history, in order."""
    started: dict[int, tuple[int, str]] = {}
    found: list[Committed] = []
    run = client.get_workflow_handle(checkpoint.thread_id, run_id=checkpoint.run_id)
    async for event in run.fetch_history_events():
        if event.HasField("activity_task_started_event_attributes"):
            attempt = event.activity_task_started_event_attributes
            started[attempt.scheduled_event_id] = (attempt.attempt, attempt.last_failure.message)
        elif event.HasField("activity_task_completed_event_attributes"):
            completed = event.activity_task_completed_event_attributes
            attempts, failure = started[completed.scheduled_event_id]
            # The superstep's report is readable JSON, for the Web UI and for us.
            report: dict[str, Any] = json.loads(completed.result.payloads[0].data)
            found.append(
                Committed(
                    number=report["checkpoint"]["superstep"],
                    executors=tuple(record["executor_id"] for record in _invocations(report)),
                    attempts=attempts,
                    worker=pid_of(completed.identity),
                    failure=failure,
                    taken=Counter(report.get("calls", {}).get("taken", {})),
                )
            )
    return found


def pid_of(identity: str) -> str:
    """Return the process id in a worker's identity, which the SDK makes of process id and host."""
    return identity.partition("@")[0]


def _invocations(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for record in report["events"] if record["type"] == "executor_invoked"]
