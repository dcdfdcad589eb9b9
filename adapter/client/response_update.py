"""Answers to a run's requests by its updates, which give a verdict at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.messages import CANCEL_SIGNAL, RESPOND_SIGNAL, RespondReceipt
from ..temporal.server import REFUSED, describe_run, retried, rpc_errors


async def send_response(
    client: Client,
    thread_id: str,
    request_id: str,
    response: Any,
    responder: str | None,
    *,
    call_id: str | None = None,
    within: timedelta | None = None,
) -> RespondReceipt:
    """Answer a pending request of an open run.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        request_id: The request.
        response: JSON data.
        responder: Who answers, for the audit.
        call_id: Names the call; one that is named is refused where the request is not pending, and not kept for later.
        within: How long a worker may take.

    Raises:
        WorkflowUpdateFailedError: When it is rejected.
        WorkflowUpdateRPCTimeoutOrCancelledError: When no worker has taken it in time.
    """
    argument = {"request_id": request_id, "response": response, "responder": responder}
    if call_id is not None:
        argument["call_id"] = call_id
    return await _update(client, thread_id, RESPOND_SIGNAL, argument, within)


async def cancel_requests(
    client: Client, thread_id: str, request_ids: list[str], responder: str | None, *, within: timedelta | None = None
) -> RespondReceipt:
    """Cancel pending requests of an open run.

    Raises:
        WorkflowUpdateFailedError: When it is rejected.
        WorkflowUpdateRPCTimeoutOrCancelledError: When no worker has taken it in time.
    """
    argument = {"request_ids": request_ids, "responder": responder}
    return await _update(client, thread_id, CANCEL_SIGNAL, argument, within)


async def _update(
    client: Client, thread_id: str, name: str, argument: dict[str, Any], within: timedelta | None
) -> RespondReceipt:
    # To whichever run is open: this one may have continued as new.
    handle: Any = client.get_workflow_handle(thread_id)
    with rpc_errors(client, f"answer thread {thread_id!r}", thread_id):
        try:
            receipt: RespondReceipt = await retried(
                lambda: handle.execute_update(name, argument, result_type=RespondReceipt, rpc_timeout=within),
                only=REFUSED,
            )
        except RPCError as error:
            if error.status == RPCStatusCode.FAILED_PRECONDITION:
                description = await describe_run(client, thread_id)
                if description.is_paused:
                    raise description.paused() from error
            raise
        return receipt
