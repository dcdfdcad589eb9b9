"""Where a thread stands: the latest run under its workflow id, and what a next run goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent_framework import WorkflowConvergenceException
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.client import Client, WorkflowHistoryEventFilterType
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.failure import refuses_start
from ...workflows.messages import WORKFLOW_TYPE, CheckpointRef
from ..advice import Advice, Step, Way
from ..errors import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    StaleCheckpointError,
    ThreadNotFoundError,
)
from ..temporal.labels import NO_LABELS, Labels, labels_of
from ..temporal.server import (
    RunDescription,
    describe_run,
    each,
    gone,
    is_of_namespace,
    list_runs,
    rpc_errors,
    visibility_text,
)
from .history import Closed, CloseState, has_begun, last_commit, read_close, reset_point, start_input, warn_refused

MEMO_REVIVED = "agent_framework_revived"
"""The first runs of those that the server had ended under a flood, which this one goes on from without a caller."""

UNREADABLE = (ValueError, KeyError, RuntimeError, CheckpointCorruptedError)
"""What a start raises that nobody of ours has written, NotSealedError among them."""

ThreadState: TypeAlias = Literal["new", "open"] | CloseState

_NEVER_FOREIGN = frozenset(
    {
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
    }
)
_ABSENT = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})


@dataclass(frozen=True, slots=True)
class ThreadStanding:
    """The latest run of a thread."""

    state: ThreadState
    run_id: str | None = None
    history_length: int = 0
    """Events in its history when it was looked up."""
    checkpoint: CheckpointRef | None = None
    """The last good checkpoint; only of a run that is over."""
    graph_hash: str | None = None
    next_offset: int = 0
    refusal: str | None = None
    """Why the only runs under the thread's id are none of it; only of a new thread."""
    is_untouched: bool = False
    """Whether nothing at all lies under the thread's id."""
    in_flight: bool = False
    """Whether the framework still holds messages there, so that it would refuse a new one."""
    reset_to: int | None = None
    """Set when an operator has reset the thread since the caller has seen it: the last offset before that point."""
    labels: Labels = NO_LABELS
    """Tags and search attributes of a thread that is over, for its next run."""
    met_limit: bool = False
    """Whether it ended as it met `max_iterations`: what is in flight waits for a higher limit, an answer among it."""


async def read_standing(
    client: Client, thread_id: str, workflow_name: str, *, seen_run_id: str | None, may_be_gone: bool = False
) -> ThreadStanding:
    """Read where a thread stands.

    One round trip, one more when its latest run is over, and more when that is not the one the caller has seen.

    A run whose start was refused is no part of the thread: whoever may write to the namespace can start one under any
    id. Passing over it costs a visibility query.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        workflow_name: Name of the framework workflow the thread must belong to.
        seen_run_id: The run the caller's thread handle has last seen, if any.
        may_be_gone: Whether a thread that was seen and is gone counts as new: it is to begin from a checkpoint.

    Raises:
        ThreadNotFoundError: When the workflow id is something else's, or the run that was seen is gone.
        StaleCheckpointError: When the latest run is neither the one the caller has seen, nor what that went on as, nor
            what an operator has reset it to.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        latest = await latest_of(client, thread_id, workflow_name, end=True)
        description, closed = latest.description, latest.closed
        if seen_run_id in latest.passed_over:
            seen_run_id = None  # It was refused, so the caller has seen nothing of the thread.
        if description is None:
            if seen_run_id is None or may_be_gone:
                return ThreadStanding("new", refusal=latest.refusal, is_untouched=not latest.passed_over)
            raise gone(client, thread_id)
        run_id = description.run_id
        reset_to = None
        if seen_run_id is not None and not await _is_in_line(client, thread_id, seen_run_id, description):
            reset_to = await reset_point(client, thread_id, run_id, seen_run_id)
            if reset_to is None:
                raise StaleCheckpointError(
                    Advice(
                        f"Thread {thread_id!r} has advanced since this checkpoint: the handle knows run "
                        f"{seen_run_id!r}, but the latest is {run_id!r}. Two callers write to one thread. Continue "
                        "from its current state with ",
                        Step(Way.FROM_THREAD, thread_id),
                        ", or use another thread.",
                    )
                )
        if closed is None:
            return ThreadStanding("open", run_id, description.info.history_length, reset_to=reset_to)
        return await _closed_tip(client, thread_id, description, closed, reset_to)


async def _is_in_line(client: Client, thread_id: str, seen_run_id: str, latest: RunDescription) -> bool:
    """Tell whether the latest run is the one that was seen, which costs nothing, or what that went on as."""
    if seen_run_id == latest.run_id:
        return True
    first_run_id = latest.info.first_run_id
    try:
        seen = await describe_run(client, thread_id, seen_run_id)
    except RPCError as error:
        if error.status not in _ABSENT:
            raise
        return seen_run_id == first_run_id
    if seen.reset_run_id:
        return False
    if seen.info.first_run_id != first_run_id:
        return seen.info.first_run_id in (await latest.memo(MEMO_REVIVED) or ())
    # A run after the first is left out of the line, too, when one before it is reset.
    run_id: str | None = first_run_id if seen_run_id == first_run_id else latest.run_id
    while run_id is not None and run_id != seen_run_id:
        run_id = (await start_input(client, thread_id, run_id)).previous_run_id
    return run_id is not None


async def run_after_reset(client: Client, thread_id: str, run_id: str) -> tuple[str, int] | None:
    """Return what an operator has reset a run to that was just terminated: the run, and the last offset before.

    Returns:
        None when it was not reset; costs two round trips, and one more for each 200 events of the new run.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        latest = await describe_run(client, thread_id)
        if latest.run_id == run_id:
            return None
        offset = await reset_point(client, thread_id, latest.run_id, run_id)
        return None if offset is None else (latest.run_id, offset)


async def latest_run_id(client: Client, thread_id: str, workflow_name: str) -> str:
    """Return the Temporal run id of a thread's latest run; one round trip, two when that has not ended well.

    Raises:
        ThreadNotFoundError: When there is no such thread, or the workflow id is something else's.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        description = (await latest_of(client, thread_id, workflow_name, end=False)).description
    if description is None:
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} has no run in namespace {client.namespace!r}. Check its id. It has not started, "
            "was deleted, or is past the namespace's retention."
        )
    return description.run_id


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The latest run under a workflow id that is part of its thread."""

    description: RunDescription | None
    """None where there is none."""
    closed: Closed | None
    """How it ended, if that was looked up."""
    passed_over: frozenset[str]
    """Later runs, which are not part of it."""
    refusal: str | None = None
    """Why the latest of them is not."""


async def latest_run(client: Client, thread_id: str, *, end: bool) -> LatestRun:
    """Return the latest run that is part of a thread; one round trip, two when that has not ended well.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        end: Whether to look up how it ended in any case.
    """
    description = await _describe(client, thread_id, None)
    passed_over: set[str] = set()
    refusal: str | None = None
    while description is not None:
        skipped = description.is_open or (not end and description.info.status in _NEVER_FOREIGN)
        if skipped or description.info.type.name != WORKFLOW_TYPE:
            return LatestRun(description, None, frozenset(passed_over), refusal)
        closed = await closed_run(client, thread_id, description.run_id)
        if not await _is_foreign(client, thread_id, description.run_id, closed):
            return LatestRun(description, closed, frozenset(passed_over), refusal)
        if refusal is None and closed.failure is not None:
            refusal = closed.failure.message
        passed_over.add(description.run_id)
        earlier = await _earlier(client, thread_id, passed_over)
        description = await _describe(client, thread_id, earlier) if earlier is not None else None
    return LatestRun(None, None, frozenset(passed_over), refusal)


async def latest_of(client: Client, thread_id: str, workflow_name: str, *, end: bool) -> LatestRun:
    """Return the latest run of a thread of this workflow; as `latest_run`.

    Raises:
        ThreadNotFoundError: When the thread, or the workflow id, is something else's.
    """
    latest = await latest_run(client, thread_id, end=end)
    if latest.description is None:
        return latest
    kind = latest.description.info.type.name
    owner = await latest.description.workflow_name() if kind == WORKFLOW_TYPE else kind
    if owner != workflow_name:
        raise ThreadNotFoundError(
            f"Thread {thread_id!r} belongs to workflow {owner!r}, not to {workflow_name!r}. Choose another thread id."
        )
    return latest


async def is_foreign(client: Client, thread_id: str, run_id: str, error: Exception) -> bool:
    """Tell whether a run whose start cannot be read is somebody else's, and log that once."""
    if getattr(error, "waits_for_key", False) and await has_begun(client, thread_id, run_id):
        return False
    warn_refused(thread_id, run_id, "The run", error)
    return True


async def _is_foreign(client: Client, thread_id: str, run_id: str, closed: Closed) -> bool:
    """Tell whether a run that is over was never the thread's: its start was refused, or would have been."""
    if closed.failure is not None:
        return refuses_start(closed.failure)
    if closed.result is not None or closed.state == "continued":
        return False
    try:
        await start_input(client, thread_id, run_id)
    except UNREADABLE as error:
        if await is_foreign(client, thread_id, run_id, error):
            return True
        raise
    return False


async def _earlier(client: Client, thread_id: str, passed: set[str]) -> str | None:
    """Return the last run of a thread before those that are passed over; a visibility query."""
    query = f"WorkflowId = {visibility_text(thread_id)} AND WorkflowType = '{WORKFLOW_TYPE}'"
    runs = [
        (info.start_time.ToDatetime(), info.execution.run_id)
        async for info in list_runs(client, query)
        if info.execution.workflow_id == thread_id and info.execution.run_id not in passed
    ]
    return max(runs)[1] if runs else None


async def _describe(client: Client, thread_id: str, run_id: str | None) -> RunDescription | None:
    try:
        return await describe_run(client, thread_id, run_id)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND or is_of_namespace(error):
            raise
        return None


async def closed_run(client: Client, thread_id: str, run_id: str) -> Closed:
    """Return how a run has ended, which is over; one round trip.

    Raises:
        CheckpointNotFoundError: When its history is not there (any more).
    """
    events = client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events(
        event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT
    )
    async for event in each(events):
        return await read_close(client, thread_id, event)
    raise CheckpointNotFoundError(f"Run {run_id!r} of thread {thread_id!r} has no history, or no longer has one.")


async def _closed_tip(
    client: Client, thread_id: str, description: RunDescription, closed: Closed, reset_to: int | None
) -> ThreadStanding:
    run_id, history_length = description.run_id, description.info.history_length
    labels = await labels_of(client, description.info)
    known = closed.result or closed.failure
    if known is not None:
        return ThreadStanding(
            closed.state,
            run_id,
            history_length,
            checkpoint=known.checkpoint,
            graph_hash=known.graph_hash,
            next_offset=known.next_offset,
            in_flight=closed.failure is not None and closed.failure.in_flight,
            reset_to=reset_to,
            labels=labels,
            met_limit=closed.failure is not None and closed.failure.error_type == WorkflowConvergenceException.__name__,
        )
    commit = await last_commit(client, thread_id, run_id)
    return ThreadStanding(
        closed.state,
        run_id,
        history_length,
        checkpoint=commit.checkpoint,
        graph_hash=commit.graph_hash,
        next_offset=commit.next_offset,
        reset_to=reset_to,
        labels=labels,
    )
