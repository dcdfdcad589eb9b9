"""The inbox of a namespace: every request that waits for an answer, of whatever thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from temporalio.client import Client, WorkflowExecution, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ...workflows.messages import PENDING_REQUESTS_QUERY, WORKFLOW_TYPE, PendingRequest
from ...workflows.search_attributes import PENDING_REQUESTS, STATE, WORKFLOW_NAME
from ..temporal.client import framed_client, rpc_errors
from ..temporal.search_attributes import use_search_attributes

_LOGGER = logging.getLogger("agent_framework_temporal")
_QUERY_TIMEOUT = timedelta(seconds=10)
_AT_ONCE = 20


@exported
async def inbox(client: Client, workflow_name: str | None = None) -> AsyncIterator[PendingRequest]:
    """Yield every request that waits in the client's namespace, with its data, schemas and deadline.

    Works without search attributes, but then asks every open run. Costs one query for each run that is asked, which a
    worker answers, at most 20 at once, and no history. A run no worker answers for is logged and left out. What the
    server lists may be a second behind.

    Args:
        client: A connected client.
        workflow_name: Only requests of this framework workflow.

    Raises:
        ServerUnreachableError: When no server answers.
    """
    client = framed_client(client)
    query = f"WorkflowType = '{WORKFLOW_TYPE}' AND ExecutionStatus = 'Running'"
    if await use_search_attributes(client, None):
        # Runs that began before the attributes were registered show none.
        query += f" AND ({STATE.name} IS NULL OR ({STATE.name} = 'waiting' AND {PENDING_REQUESTS.name} > 0))"
        if workflow_name is not None:
            escaped = workflow_name.replace("\\", "\\\\").replace("'", "\\'")
            query += f" AND ({WORKFLOW_NAME.name} IS NULL OR {WORKFLOW_NAME.name} = '{escaped}')"
    batch: list[WorkflowExecution] = []
    with rpc_errors(client, "list waiting threads"):
        async for execution in client.list_workflows(query):
            batch.append(execution)
            if len(batch) == _AT_ONCE:
                for request in await _requests_of(client, batch, workflow_name):
                    yield request
                batch = []
        for request in await _requests_of(client, batch, workflow_name):
            yield request


async def _requests_of(
    client: Client, executions: Sequence[WorkflowExecution], workflow_name: str | None
) -> list[PendingRequest]:
    found = await asyncio.gather(*(_pending(client, execution) for execution in executions))
    return [
        request
        for requests in found
        for request in requests
        if workflow_name is None or request.workflow_name == workflow_name
    ]


async def _pending(client: Client, execution: WorkflowExecution) -> list[PendingRequest]:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    try:
        pending: list[PendingRequest] = await handle.query(
            PENDING_REQUESTS_QUERY, result_type=list[PendingRequest], rpc_timeout=_QUERY_TIMEOUT
        )
    except (RPCError, WorkflowQueryFailedError) as error:
        if not isinstance(error, RPCError) or error.status != RPCStatusCode.NOT_FOUND:  # Deleted since.
            _LOGGER.warning(
                "Thread %r is left out of the inbox: no worker answers for it on task queue %r (%s).",
                execution.id,
                execution.task_queue,
                error,
            )
        return []
    return pending
