"""Supersteps as a thread's history has recorded them: what each was given, what came of it, and its journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from ...workflows.messages import (
    SUPERSTEP_ACTIVITY,
    CheckpointFacts,
    CheckpointRef,
    JournalRef,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
)
from ..errors import CheckpointNotFoundError, NotSealedError
from ..temporal.server import describe_run
from .history import (
    HistoryGoneError,
    UnreadableError,
    decode,
    load_checkpoint,
    of_superstep,
    refused_before,
    reverse_events,
    run_before,
    scheduled_by,
    start_input,
    superstep_outcome,
)
from .journals import journal_in_beat, journal_of, left_journal
from .label import read_superstep

_NO_SUPERSTEP = ("store", "upgrade", "describe")
RecordedState: TypeAlias = Literal["committed", "failed", "lost", "cancelled", "running"]
_ENDED: dict[int, RecordedState] = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "lost",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSuperstep:
    """A superstep as it is in history."""

    thread_id: str
    run_id: str
    activity_id: str
    step: SuperstepInput
    state: RecordedState
    """`lost` where its worker was, for the last time; `running` where an attempt runs, or is to."""
    outcome: SuperstepResult | SuperstepFailure | None
    """None where it has come to none."""
    number: int
    """Of the superstep, from 1 with each message."""
    attempt: int
    journal: Sequence[bytes] = ()
    """In parts; empty where none was kept."""
    burst: SuperstepResult | None = None
    """The outcome of the burst that it was one of, whose frame holds what is its own; None where it was alone."""


async def recorded_superstep(
    client: Client,
    thread_id: str,
    run_id: str,
    superstep: int | None,
    *,
    earlier: bool = True,
    failed: bool = False,
) -> RecordedSuperstep:
    """Find a superstep in a thread's history: of several with a number the newest.

    Costs a round trip for each 200 events back to it, and one or two for each run.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        run_id: The run to begin with.
        superstep: Its number, as events and checkpoints have it; None for the last one.
        earlier: Whether it may be in a run before that one.
        failed: Whether it has to have failed.

    Raises:
        CheckpointNotFoundError: When there is none.
    """
    seen: list[int] = []
    async for found in recorded_supersteps(client, thread_id, run_id, earlier=earlier):
        seen.append(found.number)
        if superstep in (None, found.number) and not (failed and found.state not in ("failed", "lost")):
            return found
    wanted = "superstep" if superstep is None else f"superstep {superstep}"
    there = f"it has {sorted(set(seen))}" if seen else "it has none"
    raise CheckpointNotFoundError(
        f"The history of thread {thread_id!r} has no {wanted}{' that failed' if failed else ''} in run "
        f"{run_id!r}{' or earlier ones' if earlier else ''} ; {there}. Supersteps are numbered from 1 for each "
        "message."
    )


async def recorded_supersteps(
    client: Client, thread_id: str, run_id: str, *, earlier: bool = True
) -> AsyncIterator[RecordedSuperstep]:
    """Yield the supersteps of a run, newest first, and those of the runs before it in its thread.

    Costs a round trip for each 200 events, and one or two for each run.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        run_id: The run to begin with.
        earlier: Whether to read the runs before it as well.
    """
    next_run: str | None = run_id
    while next_run is not None:
        current, next_run = next_run, None
        try:
            async for found in _of_run(client, thread_id, current):
                yield found
            run_input = await start_input(client, thread_id, current)
        except (HistoryGoneError, RPCError):
            if current == run_id:
                raise
            return  # Past its retention.
        if not earlier:
            return
        next_run = run_before(run_input, thread_id)


async def _of_run(client: Client, thread_id: str, run_id: str) -> AsyncIterator[RecordedSuperstep]:
    place = of_superstep(client, thread_id)
    ends: dict[int, HistoryEvent] = {}
    refused: set[str | None] = set()
    async for event in reverse_events(client, thread_id, run_id):
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            refused.add(await refused_before(client, thread_id, event))
        scheduled_id = _scheduled_id(event)
        if scheduled_id is not None:
            ends[scheduled_id] = event
        if event.event_type != EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            continue
        attributes = event.activity_task_scheduled_event_attributes
        if attributes.activity_type.name != SUPERSTEP_ACTIVITY:
            continue
        try:
            step: SuperstepInput = await decode(client, attributes.input.payloads[0], SuperstepInput, place)
        except (NotSealedError, UnreadableError) as error:
            if error.waits_for_key:
                raise
            continue
        refused.add(step.refused)
        if step.mode in _NO_SUPERSTEP or (step.superstep_id is not None and step.superstep_id in refused):
            continue
        found = await _recorded(client, thread_id, run_id, step, attributes.activity_id, ends.get(event.event_id))
        for superstep in () if found is None else _supersteps(found):
            yield superstep


async def _recorded(
    client: Client, thread_id: str, run_id: str, step: SuperstepInput, activity_id: str, end: HistoryEvent | None
) -> RecordedSuperstep | None:
    if end is None:
        return await _running(client, thread_id, run_id, step, activity_id)
    ref = JournalRef(run_id=run_id, superstep_id=step.superstep_id)
    outcome = await superstep_outcome(client, end, of_superstep(client, thread_id))
    if outcome is not None and outcome.answers != step.superstep_id:
        return None
    if isinstance(outcome, SuperstepResult) and outcome.checkpoint is None:
        return None  # Every response was refused, so that nothing ran.
    journal = await journal_of(client, thread_id, ref, end)
    if isinstance(outcome, SuperstepResult) and outcome.journal and outcome.begun is None:
        journal = [outcome.journal]
    state: RecordedState = "committed" if isinstance(outcome, SuperstepResult) else "failed"
    if outcome is None:
        state = _ENDED.get(end.event_type, "failed")
    return RecordedSuperstep(
        thread_id=thread_id,
        run_id=run_id,
        activity_id=activity_id,
        step=step,
        state=state,
        outcome=outcome,
        number=await _number(client, step, outcome),
        attempt=outcome.attempt if outcome is not None else 1,
        journal=journal,
    )


def _supersteps(found: RecordedSuperstep) -> Iterator[RecordedSuperstep]:
    """Yield the supersteps of a burst, newest first, or the only one."""
    burst = found.outcome
    if not isinstance(burst, SuperstepResult) or burst.checkpoint is None:
        yield found
        return
    reached = [*_facts_between(burst, burst.checkpoint), burst.checkpoint]
    if len(reached) == 1:
        yield found
        return
    supersteps: list[RecordedSuperstep] = []
    step = found.step
    for place, facts in enumerate(reached):
        is_last = place == len(reached) - 1
        told = [
            record
            for record in burst.events
            if (record.superstep or 0) == facts.superstep or (not place and (record.superstep or 0) < facts.superstep)
        ]
        kept = {} if is_last else {"state": "running", "pending": [], "schemas": {}}
        outcome = burst.model_copy(update={"events": told, "checkpoint": facts, "between": [], **kept})
        journal = found.journal if is_last else ()
        supersteps.append(
            replace(found, step=step, outcome=outcome, number=facts.superstep, journal=journal, burst=burst)
        )
        base = CheckpointRef(
            thread_id=found.thread_id, run_id=found.run_id, checkpoint_id=facts.checkpoint_id, digest=facts.digest
        )
        step = step.following(base, told)
    yield from reversed(supersteps)


def _facts_between(burst: SuperstepResult, last: CheckpointFacts) -> Iterator[CheckpointFacts]:
    for found in burst.between:
        if found.kind is None:
            yield last.model_copy(
                update={
                    "checkpoint_id": found.checkpoint_id,
                    "superstep": found.superstep,
                    "digest": found.digest,
                    "size_bytes": found.size_bytes,
                    "timestamp": found.timestamp,
                }
            )


async def _running(
    client: Client, thread_id: str, run_id: str, step: SuperstepInput, activity_id: str
) -> RecordedSuperstep:
    """Return a superstep that history has no end of: it runs, or its run was ended.

    Its journal is what it has told of itself, or begins with.
    """
    attempt, journal = 1, list[bytes]()
    description = await describe_run(client, thread_id, run_id)
    for pending in description.raw.pending_activities:
        if pending.activity_id == activity_id:
            attempt = pending.attempt
            ref = JournalRef(run_id=run_id, superstep_id=step.superstep_id)
            journal = await journal_in_beat(client, thread_id, ref, pending.heartbeat_details.payloads)
    if not journal and step.begun_in is not None:
        journal = await left_journal(client, thread_id, step.begun_in)
    return RecordedSuperstep(
        thread_id=thread_id,
        run_id=run_id,
        activity_id=activity_id,
        step=step,
        state="running" if description.is_open else "cancelled",
        outcome=None,
        number=await _number(client, step, None),
        attempt=attempt,
        journal=journal,
    )


async def _number(client: Client, step: SuperstepInput, outcome: SuperstepResult | SuperstepFailure | None) -> int:
    """Return the number of a superstep: as its outcome says, else by the checkpoint that it begins with."""
    if isinstance(outcome, SuperstepResult) and outcome.checkpoint is not None:
        return outcome.checkpoint.superstep
    told = max((record.superstep or 0 for record in outcome.events), default=0) if outcome is not None else 0
    if told or step.mode == "message" or step.recount or step.base is None:
        return told or 1
    raw = await load_checkpoint(client, step.base)
    return read_superstep(raw) + 1


def _scheduled_id(event: HistoryEvent) -> int | None:
    if event.event_type in (
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    ):
        return scheduled_by(event)
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
        return event.activity_task_timed_out_event_attributes.scheduled_event_id
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
        return event.activity_task_canceled_event_attributes.scheduled_event_id
    return None
