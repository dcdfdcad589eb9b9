"""Reading a thread's Temporal history: superstep results forward for readers, checkpoints backward for restores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.messages import (
    CheckpointFacts,
    CheckpointRef,
    EntryFacts,
    Framed,
    RunFailure,
    RunInput,
    RunResult,
    SuperstepFailure,
    SuperstepResult,
    Versioned,
)
from ..errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflowError,
)
from .frames import Frame, digest, unpack

_REVERSE_PAGE = 200


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame as it lies in history."""

    facts: CheckpointFacts
    data: bytes
    entry: EntryFacts | None = None
    kind: Literal["entry", "superstep"] = "superstep"
    """What the checkpoint is; an entry only where its superstep failed, and so has none."""
    state: str = "running"
    """As of `CheckpointInfo`."""


@dataclass(frozen=True, slots=True)
class RunBase:
    """What a run began from."""

    base: CheckpointRef | None
    copy: StoredFrame | None = None
    """The base itself, where the run's input holds it, as it came from another storage."""


class _StoredOutcome(Framed, Versioned):
    """What a checkpoint's reader needs of a superstep's outcome: the events stay undecoded."""

    state: str = "running"
    checkpoint: CheckpointFacts | None = None
    entry: EntryFacts | None = None


class _StoredInput(Framed, Versioned):
    """What a checkpoint's reader needs of a run's input."""

    base: CheckpointRef | None = None
    base_facts: CheckpointFacts | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """The last checkpoint a run committed, or began from."""

    checkpoint: CheckpointRef | None
    graph_hash: str | None
    next_offset: int


async def decode(client: Client, payload: Payload, model: type[BaseModel]) -> Any:
    """Decode one payload with the client's converter, codec and external storage."""
    (value,) = await client.data_converter.decode([payload], [model])
    return value


async def failure_text(client: Client, failure: Failure, *, causes: bool = False) -> str:
    """Return a failure's message, which the client's failure converter may have encoded.

    Args:
        client: A connected client.
        failure: As it lies in history.
        causes: Whether to say its causes too: the SDK only says that arguments could not be decoded, not why.
    """
    texts: list[str] = []
    left: Failure | None = failure
    while left is not None and (causes or not texts):
        texts.append(await _failure_message(client, left))
        left = left.cause if left.HasField("cause") else None
    return ": ".join(texts)


async def _failure_message(client: Client, failure: Failure) -> str:
    if not failure.HasField("encoded_attributes"):
        return failure.message
    decoded = Failure()
    decoded.CopyFrom(failure)
    error = await client.data_converter.decode_failure(decoded)
    return str(getattr(error, "message", error))


async def start_input(client: Client, thread_id: str, run_id: str) -> RunInput:
    """Return the argument of a run: one round trip."""
    history = client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events(page_size=1)
    async for event in history:
        return await _run_input(client, event)
    raise CheckpointNotFoundError(f"Run {run_id!r} of thread {thread_id!r} has no history.")


async def runs_after(client: Client, thread_id: str, run_id: str, after: int) -> list[str]:
    """Return the runs of a thread that hold its events after an offset, oldest first, up to `run_id`.

    Costs a round trip for each run.

    Raises:
        CheckpointNotFoundError: When retention has removed a run that holds some of them.
    """
    runs = [run_id]
    while True:
        try:
            run_input = await start_input(client, thread_id, runs[-1])
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            raise CheckpointNotFoundError(
                f"The events of thread {thread_id!r} after offset {after} are not all there (any more): the history of "
                f"run {runs[-1]!r} is past the namespace's retention. Read on from a greater offset."
            ) from error
        base = run_input.base
        previous = base.run_id if base is not None and base.thread_id == thread_id else None
        if run_input.continued is not None:
            previous = run_input.continued.previous_run_id
        if run_input.next_offset <= after + 1 or not previous:
            return runs[::-1]
        runs.append(previous)


async def load_checkpoint(client: Client, ref: CheckpointRef) -> bytes:
    """Rebuild a raw checkpoint from history.

    Reads backward to the last keyframe and applies the patches in between; follows the base of a run into the run
    before it.

    Args:
        client: A connected client; no worker is needed.
        ref: The checkpoint.

    Returns:
        The raw (pickled) checkpoint, verified against its digest.

    Raises:
        CheckpointNotFoundError: When history does not hold it (any more).
        CheckpointCorruptedError: When it does not restore to its digest.
    """
    chain: list[StoredFrame] = []
    wanted: str | None = ref.checkpoint_id
    as_entry = False
    next_ref: CheckpointRef | None = ref
    while next_ref is not None and wanted is not None:
        reader = run_frames(client, next_ref.thread_id, next_ref.run_id)
        next_ref = None
        async for found in reader:
            stored = found.copy if isinstance(found, RunBase) else found
            if stored is None:
                next_ref = found.base if isinstance(found, RunBase) else None
            elif wanted in (stored.facts.checkpoint_id, stored.entry.checkpoint_id if stored.entry else None):
                as_entry = as_entry or wanted != stored.facts.checkpoint_id
                chain.append(stored)
                wanted = stored.facts.base_checkpoint_id
                if wanted is None:
                    break
    if wanted is not None:
        raise CheckpointNotFoundError(
            f"Checkpoint {wanted!r} is not in the history of thread {ref.thread_id!r}, run {ref.run_id!r}. It may be "
            "past the namespace's retention; begin from a mirror of it with `checkpoint_storage=`, or choose another "
            "with `DurableWorkflow.checkpoints`."
        )
    raw: bytes | None = None
    for stored in reversed(chain):
        frame = restore(stored, raw)
        raw = frame.entry if as_entry and stored is chain[0] else frame.checkpoint
    return raw or b""


def restore(stored: StoredFrame, base: bytes | None) -> Frame:
    """Unpack a stored frame and verify the checkpoint in it.

    Raises:
        CheckpointCorruptedError: When it does not restore to its digest.
    """
    patch = stored.facts.base_checkpoint_id is not None
    frame = unpack(stored.data, base if patch else None)
    if digest(frame.checkpoint) != stored.facts.digest:
        raise CheckpointCorruptedError(
            f"Checkpoint {stored.facts.checkpoint_id!r} does not restore to its digest; the history was altered or a "
            "payload codec is not the one it was written with."
        )
    return frame


async def last_commit(client: Client, thread_id: str, run_id: str) -> Commit:
    """Return where a run stands by its history alone: for one that was cancelled, terminated or timed out.

    Costs a round trip for each 200 events back to the last superstep.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
    """
    async for event in reverse_events(client, thread_id, run_id):
        outcome = await superstep_outcome(client, event)
        if outcome is not None and outcome.checkpoint is not None:
            facts = outcome.checkpoint
            after = outcome.events[-1].offset + 1 if outcome.events else 0
            ref = CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=facts.checkpoint_id)
            return Commit(ref, facts.graph_hash, after)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            run_input = await _run_input(client, event)
            base = run_input.base
            if run_input.base_facts is not None:  # The run's own input holds it.
                base = CheckpointRef(
                    thread_id=thread_id, run_id=run_id, checkpoint_id=run_input.base_facts.checkpoint_id
                )
            return Commit(base, run_input.graph_hash, run_input.next_offset)
    return Commit(None, None, 0)


async def reverse_events(client: Client, thread_id: str, run_id: str) -> AsyncIterator[HistoryEvent]:
    """Yield the history of a run, newest event first; a round trip for each 200 events.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
    """
    token = b""
    while True:
        try:
            response = await client.workflow_service.get_workflow_execution_history_reverse(
                GetWorkflowExecutionHistoryReverseRequest(
                    namespace=client.namespace,
                    execution=WorkflowExecution(workflow_id=thread_id, run_id=run_id),
                    maximum_page_size=_REVERSE_PAGE,
                    next_page_token=token,
                ),
                retry=True,
            )
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                raise CheckpointNotFoundError(
                    f"The history of thread {thread_id!r}, run {run_id!r} is not there (any more): {error.message}. "
                    "Begin from a mirror of it with `checkpoint_storage=`, or choose a checkpoint of another thread."
                ) from error
            raise
        for event in response.history.events:
            yield event
        token = response.next_page_token
        if not token:
            return


async def run_frames(client: Client, thread_id: str, run_id: str) -> AsyncIterator[StoredFrame | RunBase]:
    """Yield what a run stored, newest first, and last what it began from; a round trip for each 200 events.

    Raises:
        CheckpointNotFoundError: When the history is not there (any more).
        CheckpointCorruptedError: When a payload cannot be decoded.
    """
    failed = False
    async for event in reverse_events(client, thread_id, run_id):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failed = True
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            run_input: _StoredInput = await _decode_stored(client, event, payloads[0], _StoredInput)
            facts = run_input.base_facts
            yield RunBase(run_input.base, StoredFrame(facts, run_input.frame) if facts is not None else None)
        else:
            payload = _outcome_payload(event)
            if payload is None:
                continue
            outcome: _StoredOutcome = await _decode_stored(client, event, payload, _StoredOutcome)
            if outcome.checkpoint is not None:
                # A failed superstep that stored none began from the one before it.
                lost = event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
                fails = lost or (failed and outcome.state == "running")
                yield StoredFrame(
                    outcome.checkpoint,
                    outcome.frame,
                    outcome.entry,
                    kind="entry" if lost else "superstep",
                    state="failed" if fails else outcome.state,
                )
                failed = False


async def superstep_outcome(client: Client, event: HistoryEvent) -> SuperstepResult | SuperstepFailure | None:
    """Return what a superstep reported in an ActivityTaskCompleted or ActivityTaskFailed event; None for others."""
    payload = _outcome_payload(event)
    if payload is None:
        return None
    completed = event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    model = SuperstepResult if completed else SuperstepFailure
    outcome: SuperstepResult | SuperstepFailure = await decode(client, payload, model)
    return outcome


def _outcome_payload(event: HistoryEvent) -> Payload | None:
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
        payloads = event.activity_task_completed_event_attributes.result.payloads
    elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
        failure = event.activity_task_failed_event_attributes.failure
        payloads = failure.application_failure_info.details.payloads
    else:
        return None
    return payloads[0] if payloads else None


async def _decode_stored(client: Client, event: HistoryEvent, payload: Payload, model: type[BaseModel]) -> Any:
    try:
        return await decode(client, payload, model)
    except DurableWorkflowError:
        raise
    except Exception as error:  # The client's codec and external storage are code of others.
        raise CheckpointCorruptedError(
            f"Event {event.event_id} of the history cannot be decoded ({type(error).__name__}: {error}). It was "
            "altered, or the client's payload codec or external storage is not the one it was written with."
        ) from error


async def _run_input(client: Client, event: HistoryEvent) -> RunInput:
    payloads = event.workflow_execution_started_event_attributes.input.payloads
    run_input: RunInput = await decode(client, payloads[0], RunInput)
    return run_input


CloseState: TypeAlias = Literal["idle", "failed", "cancelled", "terminated", "timed_out", "continued"]


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a run."""

    state: CloseState
    result: RunResult | None = None
    failure: RunFailure | None = None
    message: str = ""
    next_run_id: str | None = None
    """Of a run that continued as new."""


_CLOSED: dict[int, CloseState] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "idle",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "cancelled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed_out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "continued",
}


async def read_close(client: Client, event: HistoryEvent) -> Closed:
    """Decode the last event of a run."""
    state = _CLOSED[event.event_type]
    if state == "idle":
        payloads = event.workflow_execution_completed_event_attributes.result.payloads
        return Closed(state, result=await decode(client, payloads[0], RunResult))
    if state == "failed":
        failure = event.workflow_execution_failed_event_attributes.failure
        details = failure.application_failure_info.details.payloads
        decoded = await decode(client, details[0], RunFailure) if details else None
        return Closed(state, failure=decoded, message=await failure_text(client, failure))
    if state == "continued":
        attributes = event.workflow_execution_continued_as_new_event_attributes
        return Closed(state, next_run_id=attributes.new_execution_run_id)
    if state == "terminated":
        return Closed(state, message=event.workflow_execution_terminated_event_attributes.reason)
    return Closed(state)
