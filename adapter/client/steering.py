"""Updates that steer a thread's open run: `withdraw`, `pause`, `continue` and `breakpoints`."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError

from ...workflows.messages import SteeringReceipt, WireModel
from ...workflows.next_message import NOT_QUEUED
from ..errors import DurableWorkflowError, MessageRefusedError, NoWorkerError, ThreadNotFoundError
from ..temporal.server import RunOverError, retried, rpc_errors
from .options import DurableOptions


async def steer(
    client: Client, thread_id: str, name: str, argument: WireModel, options: DurableOptions
) -> SteeringReceipt:
    """Send an update to a thread's open run; returns how it stands after that.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        name: Of the update.
        argument: Its argument.
        options: Says how long a worker may take.

    Raises:
        ThreadNotFoundError: When the thread has no open run.
        MessageRefusedError: When the message is not in the queue.
        DurableWorkflowError: When the run refuses it.
        NoWorkerError: When no worker has taken it in time.
    """
    handle: Any = client.get_workflow_handle(thread_id)
    try:
        with rpc_errors(client, f"{name} thread {thread_id!r}", thread_id):
            try:
                receipt: SteeringReceipt = await retried(
                    lambda: handle.execute_update(
                        name, argument, result_type=SteeringReceipt, rpc_timeout=options.worker_timeout
                    )
                )
            except WorkflowUpdateFailedError as error:
                kind, text = getattr(error.cause, "type", None), str(getattr(error.cause, "message", error.cause))
                if kind == "AcceptedUpdateCompletedWorkflow":
                    raise RunOverError(text) from error
                raise (MessageRefusedError if kind == NOT_QUEUED else DurableWorkflowError)(text) from error
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                raise NoWorkerError(
                    f"No worker of thread {thread_id!r} has answered in time, so nothing says that it was done. Start "
                    "one, and try again."
                ) from error
    except RunOverError as error:
        raise ThreadNotFoundError(f"Thread {thread_id!r} has no open run to {name}.") from error
    return receipt
