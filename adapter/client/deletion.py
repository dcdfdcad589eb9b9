"""Deleting threads: every run under a thread's id, with its history and so its checkpoints and events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Unpack

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ..advice import Advice, Step, Way
from ..checkpoints.runs import runs_of
from ..checkpoints.thread import latest_run_id
from ..errors import AlreadyRunningError, ThreadNotFoundError
from ..temporal.client import framed_client
from ..temporal.server import is_of_namespace, is_open_status, retried, rpc_errors
from .threads import ThreadFilter, ThreadInfo, threads


@exported
async def delete_threads(
    client: Client, *, dry_run: bool = True, terminate: bool = False, **filters: Unpack[ThreadFilter]
) -> AsyncIterator[ThreadInfo]:
    """Delete the threads that `threads` yields with these filters, and yield each; by default only yield them.

    A thread that has begun a run since it was listed is left out. See `DurableWorkflow.delete` for what goes with a
    thread and what does not; costs as both.

    Args:
        client: A connected client.
        dry_run: Delete nothing, and yield what would be.
        terminate: Take in threads with an open run, which ends; else they are left out.
        **filters: Arguments of `ThreadFilter`; none is all threads of the namespace.

    Raises:
        SearchAttributesError: See `threads`.
        ValueError: See `threads`.
    """
    client = framed_client(client)
    async for info in threads(client, **filters):
        if info.is_open and not terminate:
            continue
        if not dry_run:
            try:
                await delete_thread(client, info.thread_id, info.workflow_name, info.run_id, terminate=terminate)
            except (AlreadyRunningError, ThreadNotFoundError):
                continue  # It has gone on, or is gone, since it was listed.
        yield info


async def delete_thread(
    client: Client, thread_id: str, workflow_name: str, listed_run_id: str | None = None, *, terminate: bool
) -> int:
    """Delete a thread; returns how many runs that were.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        workflow_name: Name of the framework workflow it must belong to.
        listed_run_id: Its latest run when it was chosen: where that is another by now, it is left alone.
        terminate: Whether an open run may be ended.

    Raises:
        ThreadNotFoundError: When there is no such thread, or it is another workflow's.
        AlreadyRunningError: When a run of it is open, or has begun meanwhile.
    """
    latest = await latest_run_id(client, thread_id, workflow_name)
    if listed_run_id is not None and latest != listed_run_id:
        raise AlreadyRunningError(f"Thread {thread_id!r} has continued since it was listed, so it was not deleted.")
    with rpc_errors(client, f"delete thread {thread_id!r}", thread_id):
        runs = await runs_of(client, thread_id)
        if any(is_open_status(info.status) for info in runs) and not terminate:
            raise AlreadyRunningError(
                Advice(
                    f"Thread {thread_id!r} has an open run, which is running, waiting for responses, or paused. "
                    "Deleting the thread would end that run. Cancel it first with ",
                    Step(Way.CANCEL, thread_id),
                    ", or delete it anyway with ",
                    Step(Way.TERMINATE),
                    ".",
                )
            )
        for info in reversed(runs):  # The newest first: what is left of a deletion that breaks off is a thread's start.
            request = DeleteWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=thread_id, run_id=info.execution.run_id),
            )
            await _delete(client, request)
    return len(runs)


async def _delete(client: Client, request: DeleteWorkflowExecutionRequest) -> None:
    try:
        await retried(lambda: client.workflow_service.delete_workflow_execution(request, retry=True))
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND or is_of_namespace(error):
            raise
