"""What a thread has cost: the actions that Temporal Cloud bills, as far as history tells of them, and its histories.

What counts is what https://docs.temporal.io/cloud/actions says: a start of a workflow, by continue-as-new too; each
attempt of an activity; a timer; an upsert of search attributes; a signal; an update; a heartbeat; two for a schedule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client

from ...workflows.exported import exported
from ...workflows.messages import Calls, Framed, Versioned
from ..checkpoints.history import decode, is_reset, of_superstep, reverse_events, scheduled_by
from ..checkpoints.runs import runs_of
from ..checkpoints.thread import latest_run_id
from ..errors import ThreadNotFoundError
from ..temporal.server import describe_run, is_open_status, rpc_errors

_Model = TypeVar("_Model", bound=BaseModel)
_SCHEDULED = "TemporalScheduledById"
"""The server's search attribute of what a schedule has started."""
_KINDS: dict[int, str] = {
    EventType.EVENT_TYPE_TIMER_STARTED: "timer_started",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: "signal",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: "update",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "search_attributes_upserted",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: "options_updated",
}
_ENDS: dict[int, str] = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
}


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """What one run of a thread has cost; a run that goes on has cost so much so far."""

    run_id: str
    """Temporal run id."""
    actions: Mapping[str, int]
    """Of Temporal Cloud, by kind: `workflow_started`, `workflow_reset`, `schedule`, `activity_started`,
    `activity_retried`, `timer_started`, `signal`, `update`, `search_attributes_upserted`, `options_updated`; those that
    there are."""
    heartbeats: int | None
    """Actions too, and in no history: an estimate, which is rather too high. It takes one for each call that the
    journal keeps, three for each attempt after the first, and one for each quarter of `heartbeat_timeout` that the
    last attempt has taken. None where it cannot be said: of a run that streamed, whose live events are heartbeats too,
    or whose supersteps cannot be read."""
    history_events: int
    """Events of its history."""
    history_bytes: int
    """Bytes of its history."""


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadCost:
    """What a thread has cost over all its runs; what reads it makes no actions, save queries, which nobody notes.

    Neither are updates that were rejected, and what happened in runs that are past their retention.
    """

    thread_id: str
    """Temporal workflow id."""
    runs: Sequence[RunCost]
    """Oldest first; with starts that were refused."""

    @property
    def actions(self) -> dict[str, int]:
        """Actions of all runs by kind, without heartbeats."""
        total: Counter[str] = Counter()
        for run in self.runs:
            total.update(run.actions)
        return dict(total)

    @property
    def total_actions(self) -> int:
        """Actions of all runs, without heartbeats."""
        return sum(self.actions.values())

    @property
    def heartbeats(self) -> int | None:
        """Heartbeats of all runs, as estimated; None where that of one is not known."""
        known = [run.heartbeats for run in self.runs if run.heartbeats is not None]
        return sum(known) if len(known) == len(self.runs) else None

    @property
    def history_events(self) -> int:
        """Events of all histories."""
        return sum(run.history_events for run in self.runs)

    @property
    def history_bytes(self) -> int:
        """Bytes of all histories."""
        return sum(run.history_bytes for run in self.runs)


class _Scheduled(Versioned):
    sealed_as: ClassVar[frozenset[str]] = frozenset({"SuperstepInput"})
    streaming: bool = False


class _Ended(Framed, Versioned):
    sealed_as: ClassVar[frozenset[str]] = frozenset({"SuperstepResult", "SuperstepFailure"})
    calls: Calls | None = None


async def thread_cost(client: Client, thread_id: str, workflow_name: str) -> ThreadCost:
    """Return what a thread has cost, by its histories.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        workflow_name: Name of the framework workflow that the thread must belong to.

    Raises:
        ThreadNotFoundError: When there is no such thread, or it belongs to another workflow.
    """
    with rpc_errors(client, f"read the history of thread {thread_id!r}", thread_id):
        await latest_run_id(client, thread_id, workflow_name)
        runs = [await _run_cost(client, thread_id, info) for info in await runs_of(client, thread_id)]
    if not runs:
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} has no run in namespace {client.namespace!r}, or no longer has one."
        )
    return ThreadCost(thread_id=thread_id, runs=tuple(runs))


async def _run_cost(client: Client, thread_id: str, listed: WorkflowExecutionInfo) -> RunCost:
    run_id = listed.execution.run_id
    tally = _Tally(client, thread_id)
    async for event in reverse_events(client, thread_id, run_id):
        if is_reset(event):
            tally.actions["workflow_reset"] += 1
            break  # What was before has happened, and was billed, in another run.
        await tally.take(event)
    described = await describe_run(client, thread_id, run_id)
    if is_open_status(described.info.status):
        for activity in described.raw.pending_activities:
            has_begun = activity.HasField("last_started_time")
            tally.attempts(activity.attempt if has_begun and activity.attempt else activity.attempt - 1)
    return RunCost(
        run_id=run_id,
        actions={name: count for name, count in tally.actions.items() if count},
        heartbeats=tally.heartbeats,
        history_events=described.info.history_length,
        history_bytes=described.info.history_size_bytes,
    )


@dataclass(slots=True)
class _Tally:
    """Counts what a run has cost, its newest event first."""

    client: Client
    thread_id: str
    actions: Counter[str] = field(default_factory=Counter)
    heartbeats: int | None = 0
    _ended: dict[int, HistoryEvent] = field(default_factory=dict)
    _began: dict[int, HistoryEvent] = field(default_factory=dict)

    async def take(self, event: HistoryEvent) -> None:
        kind = event.event_type
        if kind in _KINDS:
            self.actions[_KINDS[kind]] += 1
        elif kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            self.actions["workflow_started"] += 1
            attributes = event.workflow_execution_started_event_attributes
            by_schedule = _SCHEDULED in attributes.search_attributes.indexed_fields
            if by_schedule and not attributes.continued_execution_run_id:
                self.actions["schedule"] += 2
        elif kind in _ENDS:
            self._ended[scheduled_by(event)] = event
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            self._began[started.scheduled_event_id] = event
            self.attempts(started.attempt)
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            await self._scheduled(event)

    def attempts(self, attempts: int) -> None:
        """Count the attempts of an activity."""
        self.actions["activity_started"] += min(attempts, 1)
        self.actions["activity_retried"] += max(attempts - 1, 0)

    async def _scheduled(self, event: HistoryEvent) -> None:
        """Estimate the heartbeats of a superstep."""
        attributes = event.activity_task_scheduled_event_attributes
        began, ended = self._began.get(event.event_id), self._ended.get(event.event_id)
        given = await self._decoded(attributes.input.payloads, _Scheduled)
        if given is None or given.streaming:
            self.heartbeats = None
        if self.heartbeats is None or began is None or ended is None:
            return
        beats = attributes.heartbeat_timeout.ToTimedelta().total_seconds() / 4
        took = ended.event_time.ToNanoseconds() - began.event_time.ToNanoseconds()
        self.heartbeats += math.floor(took / 1e9 / beats) if beats else 0
        retried = began.activity_task_started_event_attributes.attempt - 1
        failed = ended.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
        self.heartbeats += 3 * retried + int(failed and retried > 0)
        of = getattr(ended, _ENDS[ended.event_type])
        payloads = (
            of.result.payloads
            if ended.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
            else of.failure.application_failure_info.details.payloads
        )
        outcome = await self._decoded(payloads, _Ended)
        if outcome is not None and outcome.calls is not None:
            self.heartbeats += sum(outcome.calls.made.values())

    async def _decoded(self, payloads: Sequence[Payload], model: type[_Model]) -> _Model | None:
        if not payloads:
            return None
        try:
            found: _Model = await decode(self.client, payloads[0], model, of_superstep(self.client, self.thread_id))
        except Exception:  # Of the client's codec and storage too; the rest is known all the same.
            return None
        return found
