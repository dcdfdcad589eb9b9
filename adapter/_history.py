"""Reading a thread's Temporal history: superstep results forward for readers, checkpoints backward for restores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ..workflows._messages import CheckpointFacts, CheckpointRef, EntryFacts, RunInput, SuperstepResult
from ._errors import CheckpointCorruptedError, CheckpointNotFoundError
from ._frames import Frame, digest, unpack

_REVERSE_PAGE = 200


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame as it lies in history."""

    facts: CheckpointFacts
    data: bytes
    entry: EntryFacts | None = None


async def decode(client: Client, payload: Payload, model: type[BaseModel]) -> Any:
    """Decode one payload with the client's converter, codec and external storage."""
    (value,) = await client.data_converter.decode([payload], [model])
    return value


async def start_input(client: Client, thread_id: str, run_id: str) -> RunInput:
    """Return the argument of a run: one round trip."""
    history = client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events(page_size=1)
    async for event in history:
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        result: RunInput = await decode(client, payloads[0], RunInput)
        return result
    raise CheckpointNotFoundError(f"Run {run_id!r} of thread {thread_id!r} has no history.")


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
        reader = _stored_frames(client, next_ref)
        next_ref = None
        async for stored in reader:
            if isinstance(stored, CheckpointRef):
                next_ref = stored
            elif wanted in (stored.facts.checkpoint_id, stored.entry.checkpoint_id if stored.entry else None):
                as_entry = as_entry or wanted != stored.facts.checkpoint_id
                chain.append(stored)
                wanted = stored.facts.base_checkpoint_id
                if wanted is None:
                    break
    if wanted is not None:
        raise CheckpointNotFoundError(
            f"Checkpoint {wanted!r} is not in the history of thread {ref.thread_id!r}, run {ref.run_id!r}. It may be "
            "past the namespace's retention; resume from a mirror, or choose another with `DurableWorkflow.checkpoint`."
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


async def _stored_frames(client: Client, ref: CheckpointRef) -> AsyncIterator[StoredFrame | CheckpointRef]:
    """Yield the checkpoints of a run, newest first; last the reference to the run's base, if it lies elsewhere."""
    token = b""
    while True:
        try:
            response = await client.workflow_service.get_workflow_execution_history_reverse(
                GetWorkflowExecutionHistoryReverseRequest(
                    namespace=client.namespace,
                    execution=WorkflowExecution(workflow_id=ref.thread_id, run_id=ref.run_id),
                    maximum_page_size=_REVERSE_PAGE,
                    next_page_token=token,
                ),
                retry=True,
            )
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                raise CheckpointNotFoundError(
                    f"The history of thread {ref.thread_id!r}, run {ref.run_id!r} is not there (any more): "
                    f"{error.message}"
                ) from error
            raise
        for event in response.history.events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                result = await superstep_result(client, event)
                if result is not None and result.checkpoint is not None:
                    yield StoredFrame(result.checkpoint, result.frame, result.entry)
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                payloads = event.workflow_execution_started_event_attributes.input.payloads
                run_input: RunInput = await decode(client, payloads[0], RunInput)
                if run_input.base_facts is not None:
                    yield StoredFrame(run_input.base_facts, run_input.frame)
                elif run_input.base is not None:
                    yield run_input.base
        token = response.next_page_token
        if not token:
            return


async def superstep_result(client: Client, event: HistoryEvent) -> SuperstepResult | None:
    """Return the superstep result of an ActivityTaskCompleted event."""
    payloads = event.activity_task_completed_event_attributes.result.payloads
    if not payloads:
        return None
    result: SuperstepResult = await decode(client, payloads[0], SuperstepResult)
    return result
