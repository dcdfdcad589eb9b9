"""All runs of a thread: those the server lists, and those the runs themselves name, as lists lag behind."""

from __future__ import annotations

from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.messages import WORKFLOW_TYPE
from ..errors import CheckpointNotFoundError
from ..temporal.server import RunDescription, describe_run, is_of_namespace, list_runs, visibility_text
from .history import run_before, start_input
from .thread import UNREADABLE


async def runs_of(client: Client, thread_id: str) -> list[WorkflowExecutionInfo]:
    """Return every run of our workflow type under a thread's id, oldest first; refused starts are among them.

    Costs a visibility query, and a round trip or two for the latest run and for each that is not listed yet.

    Raises:
        RPCError: When the server does not say.
    """
    found: dict[str, WorkflowExecutionInfo] = {}
    query = f"WorkflowId = {visibility_text(thread_id)} AND WorkflowType = '{WORKFLOW_TYPE}'"
    async for info in list_runs(client, query):
        if info.execution.workflow_id == thread_id and info.type.name == WORKFLOW_TYPE:
            found[info.execution.run_id] = info
    unlisted = await _describe(client, thread_id, None)
    while unlisted is not None and unlisted.info.type.name == WORKFLOW_TYPE:
        listed = unlisted.run_id in found
        found[unlisted.run_id] = unlisted.info
        if listed:
            break  # So are those before it.
        before = await _before(client, thread_id, unlisted.run_id)
        unlisted = await _describe(client, thread_id, before) if before else None
    return sorted(found.values(), key=lambda info: (info.start_time.ToDatetime(), info.execution.run_id))


async def _before(client: Client, thread_id: str, run_id: str) -> str | None:
    """Return the run that a run of the thread goes on from."""
    try:
        run_input = await start_input(client, thread_id, run_id)
    except (*UNREADABLE, CheckpointNotFoundError):
        return None
    return run_before(run_input, thread_id)


async def _describe(client: Client, thread_id: str, run_id: str | None) -> RunDescription | None:
    try:
        return await describe_run(client, thread_id, run_id)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND or is_of_namespace(error):
            raise
        return None
