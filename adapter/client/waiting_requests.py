"""The inbox of a namespace: every request that waits for an answer, of whatever thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.exported import exported
from ...workflows.messages import PENDING_REQUESTS_QUERY, WORKFLOW_TYPE, PendingRequest
from ...workflows.requests.pending import complete
from ...workflows.search_attributes import PENDING_REQUESTS, STATE, WORKFLOW_NAME
from ..errors import ThreadPausedError
from ..logging import data_logger
from ..temporal.client import framed_client
from ..temporal.search_attributes import use_search_attributes
from ..temporal.server import list_runs, query_run, rpc_errors, visibility_text

_LOGGER = data_logger("agent_framework_temporal")
_QUERY_TIMEOUT = timedelta(seconds=10)
_AT_ONCE = 100


@exported
async def waiting_requests(client: Client, workflow_name: str | None = None) -> AsyncIterator[PendingRequest]:
    """Yield every request that waits in the client's namespace, with its data, schemas and deadline.

    Works without search attributes, but then asks every open run. Costs one query for each run that is asked, which a
    worker answers, at most 100 at once, and no history. A run no worker answers for is logged and left out. What the
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
            query += f" AND ({WORKFLOW_NAME.name} IS NULL OR {WORKFLOW_NAME.name} = {visibility_text(workflow_name)})"
    batch: list[WorkflowExecutionInfo] = []
    with rpc_errors(client, "list waiting threads"):
        async for info in list_runs(client, query):
            batch.append(info)
            if len(batch) == _AT_ONCE:
                for request in await _requests_of(client, batch, workflow_name):
                    yield request
                batch = []
        for request in await _requests_of(client, batch, workflow_name):
            yield request


async def _requests_of(
    client: Client, runs: Sequence[WorkflowExecutionInfo], workflow_name: str | None
) -> list[PendingRequest]:
    found = await asyncio.gather(*(_pending(client, info) for info in runs))
    return [
        request
        for requests in found
        for request in requests
        if workflow_name is None or request.workflow_name == workflow_name
    ]


async def _pending(client: Client, info: WorkflowExecutionInfo) -> list[PendingRequest]:
    thread_id = info.execution.workflow_id
    try:
        pending: list[PendingRequest] = await query_run(
            client,
            thread_id,
            info.execution.run_id,
            PENDING_REQUESTS_QUERY,
            result_type=list[PendingRequest],
            within=_QUERY_TIMEOUT,
        )
        complete(pending)
        # Whoever answers the query may name any thread, and the answer to the request would go there.
        return [request.model_copy(update={"thread_id": thread_id}) for request in pending]
    except ThreadPausedError:
        return []  # Since it was listed: it takes no answer.
    except (RPCError, WorkflowQueryFailedError) as error:
        if not isinstance(error, RPCError) or error.status != RPCStatusCode.NOT_FOUND:  # Deleted since.
            _LOGGER.warning(
                "The requests of thread %r are not listed: no worker answers for it on task queue %r (%s).",
                thread_id,
                info.task_queue,
                error,
            )
    except Exception as error:  # Whoever answers may answer anything.
        _LOGGER.warning("The requests of thread %r are not listed: its answer cannot be read (%s).", thread_id, error)
    return []
