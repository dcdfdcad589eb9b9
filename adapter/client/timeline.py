"""A thread's supersteps with their times, attempts, workers and calls, newest first, read from history alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from ...workflows.messages import Calls, LoggedEvent, SuperstepFailure, SuperstepInput, SuperstepResult
from ..checkpoints.history import (
    InvalidStartError,
    UnreadableError,
    decode,
    of_superstep,
    reverse_events,
    run_before,
    scheduled_by,
    start_input,
    superstep_outcome,
)
from ..errors import CheckpointNotFoundError, NotSealedError
from ..temporal.server import rpc_errors

_ENDS = frozenset(
    {
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
        EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAnswer:
    """An answer that a superstep was given, or that a request was cancelled."""

    request_id: str
    is_cancelled: bool
    responder: str | None
    received_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """A superstep."""

    run_id: str
    event_id: int
    """Of the event that scheduled it."""
    superstep: int | None
    """None of one that has told nothing yet, or failed before it began."""
    mode: str
    state: str
    """`running`; where it left the run; `failed`; or `lost`, of one that told nothing at its end."""
    is_running: bool
    scheduled_at: datetime
    started_at: datetime | None
    """Of its last attempt, as the next one is."""
    ended_at: datetime | None
    attempts: int
    worker: str | None
    """Identity of the worker of the last attempt."""
    checkpoint_id: str | None
    answers: list[GivenAnswer]
    first_offset: int
    last_offset: int | None
    """None of one that has logged no events."""
    failure: str | None
    calls: Calls
    events: list[LoggedEvent] = field(repr=False)
    """As they were logged."""


@dataclass(slots=True)
class _Seen:
    """What a later event has told of a superstep whose schedule is still to come."""

    ended: HistoryEvent | None = None
    started: HistoryEvent | None = None


async def timeline(
    client: Client, thread_id: str, run_id: str, before: int | None = None
) -> AsyncIterator[TimelineEntry]:
    """Yield the supersteps of a thread, newest first, back over its runs.

    Costs a round trip for each 200 history events, from the end of the run that it begins in.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        run_id: The run to begin in.
        before: Only those that were scheduled before this event of it.

    Raises:
        CheckpointNotFoundError: When the run's history is not there (any more).
        NotSealedError: When it is sealed by a key that this process does not have.
    """
    with rpc_errors(client, f"read the history of thread {thread_id!r}", thread_id):
        current: str | None = run_id
        while current is not None:
            try:
                async for entry in _of_run(client, thread_id, current, before):
                    yield entry
                current = run_before(await start_input(client, thread_id, current), thread_id)
            except InvalidStartError:
                return
            except CheckpointNotFoundError:  # Retention has removed what is before.
                if current == run_id:
                    raise
                return
            before = None


async def _of_run(client: Client, thread_id: str, run_id: str, before: int | None) -> AsyncIterator[TimelineEntry]:
    seen: dict[int, _Seen] = {}
    place = of_superstep(client, thread_id)
    async for event in reverse_events(client, thread_id, run_id):
        if event.event_type in _ENDS:
            seen.setdefault(_scheduled(event), _Seen()).ended = event
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            of = event.activity_task_started_event_attributes.scheduled_event_id
            seen.setdefault(of, _Seen()).started = event
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            told = seen.pop(event.event_id, _Seen())
            if before is not None and event.event_id >= before:
                continue
            payloads = event.activity_task_scheduled_event_attributes.input.payloads
            try:
                step: SuperstepInput = await decode(client, payloads[0], SuperstepInput, place)
            except (UnreadableError, IndexError):
                continue  # None of ours.
            outcome = None if told.ended is None else await _outcome(client, told.ended, thread_id, step)
            yield _entry(run_id, event, step, told, outcome)


async def _outcome(
    client: Client, event: HistoryEvent, thread_id: str, step: SuperstepInput
) -> SuperstepResult | SuperstepFailure | None:
    try:
        outcome = await superstep_outcome(client, event, of_superstep(client, thread_id))
    except NotSealedError as error:
        if error.waits_for_key:
            raise
        return None
    return outcome if outcome is not None and outcome.answers == step.superstep_id else None


def _entry(
    run_id: str,
    scheduled: HistoryEvent,
    step: SuperstepInput,
    told: _Seen,
    outcome: SuperstepResult | SuperstepFailure | None,
) -> TimelineEntry:
    started = None if told.started is None else told.started.activity_task_started_event_attributes
    state = "running" if told.ended is None else "lost"
    failure: str | None = None
    if isinstance(outcome, SuperstepResult):
        state = outcome.state
    elif outcome is not None:
        state, failure = "failed", f"{outcome.error_type}: {outcome.message}"
    elif told.ended is not None and told.ended.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
        failure = told.ended.activity_task_timed_out_event_attributes.failure.message or None
    events = [] if outcome is None else outcome.events
    facts = None if outcome is None else outcome.checkpoint
    numbers = [record.superstep for record in events if record.superstep is not None]
    return TimelineEntry(
        run_id=run_id,
        event_id=scheduled.event_id,
        superstep=numbers[-1] if numbers else None if facts is None else facts.superstep,
        mode=step.mode,
        state=state,
        is_running=told.ended is None,
        scheduled_at=_time(scheduled.event_time),
        started_at=None if told.started is None else _time(told.started.event_time),
        ended_at=None if told.ended is None else _time(told.ended.event_time),
        attempts=1 if started is None else started.attempt,
        worker=None if started is None else started.identity or None,
        checkpoint_id=None if facts is None else facts.checkpoint_id,
        answers=[
            GivenAnswer(
                request_id=answer.request_id,
                is_cancelled=step.mode == "cancel",
                responder=answer.responder,
                received_at=answer.received_at,
            )
            for answer in step.responses or ()
        ],
        first_offset=step.offset,
        last_offset=events[-1].offset if events else None,
        failure=failure,
        calls=(None if outcome is None else outcome.calls) or Calls(),
        events=events,
    )


def _scheduled(event: HistoryEvent) -> int:
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
        return event.activity_task_timed_out_event_attributes.scheduled_event_id
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
        return event.activity_task_canceled_event_attributes.scheduled_event_id
    return scheduled_by(event)


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
