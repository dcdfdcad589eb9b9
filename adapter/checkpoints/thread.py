"""Where a thread stands: the latest run under its workflow id, and what a next run goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHistoryEventFilterType,
)
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.messages import WORKFLOW_TYPE, CheckpointRef
from ..errors import CheckpointNotFoundError, StaleCheckpointError, ThreadNotFoundError
from ..temporal.client import rpc_errors
from .history import CloseState, last_commit, read_close

MEMO_WORKFLOW_NAME = "agent_framework_workflow"

ThreadState: TypeAlias = Literal["new", "open"] | CloseState


@dataclass(frozen=True, slots=True)
class ThreadTip:
    """The latest run of a thread."""

    state: ThreadState
    run_id: str | None = None
    history_length: int = 0
    """Events in its history when it was looked up."""
    checkpoint: CheckpointRef | None = None
    """The last good checkpoint; only of a run that is over."""
    graph_hash: str | None = None
    next_offset: int = 0
    in_flight: bool = False
    """Whether the framework still holds messages there, so that it would refuse a new one."""


NEW = ThreadTip("new")


async def read_tip(
    client: Client, thread_id: str, workflow_name: str, *, seen_run_id: str | None, may_be_gone: bool = False
) -> ThreadTip:
    """Read where a thread stands: one round trip, two when its latest run is over.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        workflow_name: Name of the framework workflow the thread must belong to.
        seen_run_id: The run the caller's checkpoint handle has last seen, if any.
        may_be_gone: Whether a thread that was seen and is gone counts as new: it is to begin from a checkpoint.

    Raises:
        ThreadNotFoundError: When the workflow id is something else's, or the run that was seen is gone.
        StaleCheckpointError: When the latest run is not the one the caller has seen.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}"):
        description = await _describe(client, thread_id, workflow_name)
    if description is None:
        if seen_run_id is None or may_be_gone:
            return NEW
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} is not in namespace {client.namespace!r} (any more): it was deleted, or its "
            "history is past the namespace's retention. Begin it anew from a mirror, `run_stream(checkpoint_id=..., "
            "checkpoint_storage=mirror)`, or start a new thread."
        )
    run_id = description.run_id
    with rpc_errors(client, f"look up run {seen_run_id!r} of thread {thread_id!r}"):
        same = seen_run_id is None or await _is_same_run(client, seen_run_id, description)
    if not same:
        raise StaleCheckpointError(
            f"Thread {thread_id!r} has gone on without this checkpoint: it knows run {seen_run_id!r}, the latest is "
            f"{run_id!r}. Two callers write to one thread. Go on from where it stands with "
            f"`durable.checkpoint({thread_id!r})`, or use a thread of your own."
        )
    if description.status == WorkflowExecutionStatus.RUNNING:
        return ThreadTip("open", run_id, description.history_length)
    with rpc_errors(client, f"look up the end of thread {thread_id!r}"):
        return await _closed_tip(client, thread_id, run_id, description.history_length)


async def _is_same_run(client: Client, seen_run_id: str, latest: WorkflowExecutionDescription) -> bool:
    """Tell whether the latest run is the one that was seen, or what that continued as; mostly no round trip."""
    first = latest.raw_description.workflow_execution_info.first_run_id
    if seen_run_id in (latest.run_id, first):
        return True
    try:
        seen = await client.get_workflow_handle(latest.id, run_id=seen_run_id).describe()
    except RPCError as error:
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            raise
        return False
    return bool(seen.raw_description.workflow_execution_info.first_run_id == first)


async def latest_run_id(client: Client, thread_id: str, workflow_name: str) -> str:
    """Return the Temporal run id of a thread's latest run; one round trip.

    Raises:
        ThreadNotFoundError: When there is no such thread, or the workflow id is something else's.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}"):
        description = await _describe(client, thread_id, workflow_name)
    if description is None:
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} has no run in namespace {client.namespace!r} (any more): it has not begun, was "
            "deleted, or is past the namespace's retention. Check its id."
        )
    return description.run_id


async def _describe(client: Client, thread_id: str, workflow_name: str) -> WorkflowExecutionDescription | None:
    try:
        description = await client.get_workflow_handle(thread_id).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    memo = await description.memo()
    owner = memo.get(MEMO_WORKFLOW_NAME) if description.workflow_type == WORKFLOW_TYPE else description.workflow_type
    if owner != workflow_name:
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} belongs to workflow {owner!r}, not to {workflow_name!r}. Choose another thread id."
        )
    return description


async def _closed_tip(client: Client, thread_id: str, run_id: str, history_length: int) -> ThreadTip:
    events = client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events(
        event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT
    )
    async for event in events:
        closed = await read_close(client, event)
        known = closed.result or closed.failure
        if known is not None:
            return ThreadTip(
                closed.state,
                run_id,
                history_length,
                checkpoint=known.checkpoint,
                graph_hash=known.graph_hash,
                next_offset=known.next_offset,
                in_flight=closed.failure is not None and closed.failure.in_flight,
            )
        commit = await last_commit(client, thread_id, run_id)
        return ThreadTip(
            closed.state,
            run_id,
            history_length,
            checkpoint=commit.checkpoint,
            graph_hash=commit.graph_hash,
            next_offset=commit.next_offset,
        )
    raise CheckpointNotFoundError(f"Run {run_id!r} of thread {thread_id!r} has no history (any more).")
