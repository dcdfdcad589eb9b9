"""Where a thread stands: the latest run under its workflow id, and what a next run goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from temporalio.client import Client, WorkflowHistoryEventFilterType
from temporalio.service import RPCError, RPCStatusCode

from ..workflows._messages import WORKFLOW_TYPE, CheckpointRef
from ._errors import CheckpointNotFoundError, StaleCheckpointError, ThreadNotFoundError
from ._follower import CloseState, read_close
from ._history import last_commit, reset_point, start_input
from ._server import RunDescription, describe, each, gone, is_of_namespace, rpc_errors

ThreadState: TypeAlias = Literal["new", "open"] | CloseState

_ABSENT = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})


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
    reset_to: int | None = None
    """Set when an operator has reset the thread since the caller has seen it: the last offset before that point."""


NEW = ThreadTip("new")


async def read_tip(
    client: Client, thread_id: str, workflow_name: str, *, seen_run_id: str | None, may_be_gone: bool = False
) -> ThreadTip:
    """Read where a thread stands.

    One round trip, one more when its latest run is over, and more when that is not the one the caller has seen.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        workflow_name: Name of the framework workflow the thread must belong to.
        seen_run_id: The run the caller's checkpoint handle has last seen, if any.
        may_be_gone: Whether a thread that was seen and is gone counts as new: it is to begin from a checkpoint.

    Raises:
        ThreadNotFoundError: When the workflow id is something else's, or the run that was seen is gone.
        StaleCheckpointError: When the latest run is neither the one the caller has seen, nor what that went on as, nor
            what an operator has reset it to.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        description = await _describe(client, thread_id, workflow_name)
        if description is None:
            if seen_run_id is None or may_be_gone:
                return NEW
            raise gone(client, thread_id)
        run_id, length = description.run_id, description.info.history_length
        reset_to = None
        if seen_run_id is not None and not await _is_in_line(client, thread_id, seen_run_id, description):
            reset_to = await reset_point(client, thread_id, run_id, seen_run_id)
            if reset_to is None:
                raise StaleCheckpointError(
                    f"Thread {thread_id!r} has gone on without this checkpoint: it knows run {seen_run_id!r}, the "
                    f"latest is {run_id!r}. Two callers write to one thread. Go on from where it stands with "
                    f"`durable.checkpoint({thread_id!r})`, or use a thread of your own."
                )
        if description.is_open:
            return ThreadTip("open", run_id, length, reset_to=reset_to)
        return await _closed_tip(client, thread_id, run_id, length, reset_to)


async def _is_in_line(client: Client, thread_id: str, seen_run_id: str, latest: RunDescription) -> bool:
    """Tell whether the latest run is the one that was seen, which costs nothing, or what that continued as."""
    if seen_run_id == latest.run_id:
        return True
    first_run_id = latest.info.first_run_id
    try:
        seen = await describe(client, thread_id, seen_run_id)
    except RPCError as error:
        if error.status not in _ABSENT:
            raise
        return seen_run_id == first_run_id
    if seen.info.first_run_id != first_run_id or seen.reset_run_id:
        return False
    # A run after the first is left out of the line, too, when one before it is reset.
    run_id: str | None = first_run_id if seen_run_id == first_run_id else latest.run_id
    while run_id is not None and run_id != seen_run_id:
        continued = (await start_input(client, thread_id, run_id)).continued
        run_id = continued.previous_run_id if continued is not None else None
    return run_id is not None


async def run_after_reset(client: Client, thread_id: str, run_id: str) -> tuple[str, int] | None:
    """Return what an operator has reset a run to that was just terminated: the run, and the last offset before.

    Returns:
        None when it was not reset; costs two round trips, and one more for each 200 events of the new run.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        latest = await describe(client, thread_id)
        if latest.run_id == run_id:
            return None
        offset = await reset_point(client, thread_id, latest.run_id, run_id)
        return None if offset is None else (latest.run_id, offset)


async def latest_run_id(client: Client, thread_id: str, workflow_name: str) -> str:
    """Return the Temporal run id of a thread's latest run; one round trip.

    Raises:
        ThreadNotFoundError: When there is no such thread, or the workflow id is something else's.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        description = await _describe(client, thread_id, workflow_name)
    if description is None:
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} has no run in namespace {client.namespace!r} (any more): it has not begun, was "
            "deleted, or is past the namespace's retention. Check its id."
        )
    return description.run_id


async def _describe(client: Client, thread_id: str, workflow_name: str) -> RunDescription | None:
    try:
        description = await describe(client, thread_id)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND or is_of_namespace(error):
            raise
        return None
    workflow_type = description.info.type.name
    owner = await description.workflow_name() if workflow_type == WORKFLOW_TYPE else workflow_type
    if owner != workflow_name:
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} belongs to workflow {owner!r}, not to {workflow_name!r}. Choose another thread id."
        )
    return description


async def _closed_tip(
    client: Client, thread_id: str, run_id: str, history_length: int, reset_to: int | None
) -> ThreadTip:
    events = client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events(
        event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT
    )
    async for event in each(events):
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
                reset_to=reset_to,
            )
        commit = await last_commit(client, thread_id, run_id)
        return ThreadTip(
            closed.state,
            run_id,
            history_length,
            checkpoint=commit.checkpoint,
            graph_hash=commit.graph_hash,
            next_offset=commit.next_offset,
            reset_to=reset_to,
        )
    raise CheckpointNotFoundError(f"Run {run_id!r} of thread {thread_id!r} has no history (any more).")
