"""What of a start only history, or this worker, can tell; the table is in `workflows/claims.py`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NoReturn

from agent_framework import WorkflowCheckpoint
from temporalio import activity
from temporalio.client import Client, WorkflowHistoryEventFilterType
from temporalio.service import RPCError, RPCStatusCode

from ..adapter.checkpoints.history import Closed, is_close, load_checkpoint, read_close, start_input
from ..adapter.checkpoints.label import EDITED_BY, label_of
from ..adapter.checkpoints.lineage import Locator, is_ours, load_held, thread_of_edit
from ..adapter.encoding.decoding import loads
from ..adapter.encoding.differences import difference
from ..adapter.encoding.encoding import dumps
from ..adapter.errors import CheckpointCorruptedError, CheckpointNotFoundError, StartRefusedError
from ..adapter.framework.definition import WorkflowDefinition, executor_paths
from ..workflows.messages import CheckpointRef, SuperstepInput
from .mirrors import Mirror

_LOGGER = logging.getLogger("agent_framework_temporal.worker")


def refuse_start(field: str, text: object) -> NoReturn:
    """Refuse the start of this activity's run.

    Raises:
        StartRefusedError: Always.
    """
    info = activity.info()
    _LOGGER.warning(
        "The start of thread %r, run %r, is refused: `%s`: %s", info.workflow_id, info.workflow_run_id, field, text
    )
    raise StartRefusedError(f"The run cannot start: `{field}`: {text}")


async def check_start(
    client: Client,
    hosted: WorkflowDefinition,
    step: SuperstepInput,
    mirrors: Sequence[Mirror],
    *,
    known: bool,
    caller_checkpoints: bool,
) -> bytes | None:
    """Check a run's first superstep, before anything runs; one round trip where it goes on in its thread.

    Args:
        client: The worker's client.
        hosted: The hosted workflow.
        step: The superstep.
        mirrors: Of the run: the one it names, and the storage that its workflow was built with.
        known: Whether this worker has made `step.base` itself, of this workflow and under this very reference.
        caller_checkpoints: Whether a start may bring a checkpoint that neither history nor a mirror holds.

    Returns:
        The checkpoint that the start has brought, if it has.

    Raises:
        StartRefusedError: When the start says what it may not.
    """
    known_executors = set(executor_paths(hosted.graph_signature)) if step.executors else set()
    for executor_id in step.executors or ():
        if executor_id not in known_executors:
            refuse_start(
                "options.executors", f"there is no executor {executor_id!r}; there are {sorted(known_executors)}."
            )
    if hosted.is_functional and any(rule.task_queue is not None for rule in (step.executors or {}).values()):
        refuse_start("options.executors", "the steps of a functional workflow have no task queues of their own.")
    info = activity.info()
    base = step.base
    if base is None:
        return None
    if step.seeded:
        return await _check_frame(client, hosted, base, mirrors, caller_checkpoints=caller_checkpoints)
    if base.run_id == info.workflow_run_id:  # Its entry, after a superstep that has failed.
        return None
    if not known:
        await _check_run(client, base, hosted.name)
    if base.thread_id == info.workflow_id:
        closed = await _end(client, base)
        ended = None if closed is None else closed.result or closed.failure
        # What the workflow has answered by then is numbered before the superstep.
        if ended is not None and step.offset - len(step.responses or ()) < ended.next_offset:
            refuse_start("next_offset", f"the thread is already at {ended.next_offset}.")
    return None


def check_graph(hosted: WorkflowDefinition, step: SuperstepInput) -> None:
    """Check the graph that a start says its base was made by; its base is known by now to be of this graph.

    Raises:
        StartRefusedError: When it says another.
    """
    if step.base is not None and step.graph_hash != hosted.graph_hash:
        refuse_start("graph_hash", "`base` was made by a different graph.")


async def _check_run(client: Client, base: CheckpointRef, workflow_name: str) -> None:
    try:
        run_input = await start_input(client, base.thread_id, base.run_id)
    except (CheckpointNotFoundError, CheckpointCorruptedError, ValueError) as error:
        refuse_start("base", error)
    except RPCError as error:
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            raise
        refuse_start("base", f"there is no run {base.run_id!r} of thread {base.thread_id!r}, or no longer.")
    if run_input.workflow_name != workflow_name:
        refuse_start("base", f"it belongs to workflow {run_input.workflow_name!r}, not to {workflow_name!r}.")


async def _end(client: Client, base: CheckpointRef) -> Closed | None:
    handle = client.get_workflow_handle(base.thread_id, run_id=base.run_id)
    events = handle.fetch_history_events(event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT)
    try:
        async for event in events:
            return await read_close(client, base.thread_id, event) if is_close(event) else None
    except RPCError as error:
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            raise
    return None  # Past its retention; the worker has it in its cache.


async def _check_frame(
    client: Client,
    hosted: WorkflowDefinition,
    base: CheckpointRef,
    mirrors: Sequence[Mirror],
    *,
    caller_checkpoints: bool,
) -> bytes:
    try:
        raw = await load_checkpoint(client, base)
        label = await label_of(raw)
    except (CheckpointNotFoundError, CheckpointCorruptedError) as error:
        refuse_start("base_facts", error)
    if label.checkpoint_id != base.checkpoint_id:
        refuse_start("base_facts", f"checkpoint {label.checkpoint_id!r} was supplied as {base.checkpoint_id!r}.")
    held = await _held(client, hosted, base.checkpoint_id, mirrors)
    if held is None:
        if not caller_checkpoints:
            whose = (
                "a person has edited this checkpoint"
                if EDITED_BY in label.metadata
                else "neither history nor a mirror of the run holds this checkpoint"
            )
            refuse_start(
                "base_facts",
                f"{whose}, and this worker does not accept its callers' own checkpoints (`caller_checkpoints=False`).",
            )
    elif difference(held, loads(raw, hosted.catalog)) is not None:
        refuse_start("base_facts", f"history, or a mirror, holds another checkpoint as {base.checkpoint_id!r}.")
    return raw


async def _held(
    client: Client, hosted: WorkflowDefinition, checkpoint_id: str, mirrors: Sequence[Mirror]
) -> WorkflowCheckpoint | None:
    """Return what history or a mirror holds under an id of ours; None where nothing does, or it is none of ours."""
    if not is_ours(checkpoint_id):
        return None
    try:
        # One that was edited for this very thread is found where it is brought: that proves nothing.
        own = thread_of_edit(checkpoint_id) == activity.info().workflow_id
        held = None if own else await load_held(client, Locator(client), checkpoint_id)
    except (CheckpointNotFoundError, CheckpointCorruptedError) as error:
        refuse_start("base_facts", error)
    if held is not None:
        found: WorkflowCheckpoint = loads(held, hosted.catalog)
        return found
    for mirror in mirrors:
        try:
            mirrored = await mirror.load(checkpoint_id)
        except Exception as error:  # The storage is code of others.
            refuse_start("base_facts", f"mirror {mirror.name!r} cannot be asked ({type(error).__name__}: {error}).")
        if mirrored is not None:
            # As history has it: a storage may load what encoding turns into something else.
            encoded: WorkflowCheckpoint = loads(dumps(mirrored, hosted.catalog), hosted.catalog)
            return encoded
    return None
