"""A message to a thread that waits for responses: taken as in process, where the requests wait on."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.messages import (
    EDIT_UPDATE,
    MESSAGE_UPDATE,
    EditUpdate,
    MessageReceipt,
    MessageUpdate,
    RunInput,
    RunStatus,
)
from ...workflows.next_edit import BUSY as NOT_EDITED
from ...workflows.next_edit import REFUSED as EDIT_REFUSED
from ...workflows.next_message import BUSY, FULL, REFUSED, UNFIT
from ..advice import Advice, Step, Way
from ..errors import (
    AlreadyRunningError,
    DurableWorkflowError,
    MessageRefusedError,
    NoWorkerError,
    PayloadError,
    QueueFullError,
)
from ..logging import data_logger
from ..temporal.server import RunOverError, retried, rpc_errors
from .options import DurableOptions

_LULL = 0.1
_LOGGER = data_logger("agent_framework_temporal")
_STILL_PENDING = (
    "Workflow %s received a fresh message while %d request_info event(s) are still pending from an unfinished "
    "request/response cycle; those requests remain pending, but this run advances executor and shared state, so a "
    "response that arrives later may apply to a workflow that has moved on. Deliver responses (responses=...) to "
    "complete the pending cycle before starting new input."
)
"""The framework's words."""


async def send_message(
    client: Client,
    thread_id: str,
    run_id: str | None,
    workflow_name: str,
    message: MessageUpdate,
    options: DurableOptions,
) -> None:
    """Send a message to a run that waits, as what it does next; or to any that is open, for its queue.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        run_id: The run.
        workflow_name: Of the framework workflow.
        message: The message.
        options: Says how long a worker may take.

    Raises:
        RunOverError: When the run is over, or does not wait (any more); nothing was sent.
        PayloadError: When the message cannot be used.
        MessageRefusedError: When the start executor cannot take it.
        QueueFullError: When there is no room for it.
        NoWorkerError: When no worker has taken it in time.
    """
    handle: Any = client.get_workflow_handle(thread_id, run_id=run_id)
    with rpc_errors(client, f"send a message to thread {thread_id!r}"):
        try:
            receipt = await retried(
                lambda: handle.execute_update(
                    MESSAGE_UPDATE,
                    message,
                    id=message.call_id,  # The server takes it once, however often it is sent.
                    result_type=MessageReceipt,
                    rpc_timeout=options.worker_timeout,
                )
            )
        except WorkflowUpdateFailedError as error:
            kind, text = getattr(error.cause, "type", None), str(getattr(error.cause, "message", error.cause))
            if kind == REFUSED:
                raise PayloadError(text) from error
            if kind == UNFIT:
                raise MessageRefusedError(text) from error
            if kind == FULL:
                raise QueueFullError(text) from error
            if kind == BUSY and message.when_running is not None:
                raise AlreadyRunningError(text) from error
            refused = RunOverError if kind in (BUSY, "AcceptedUpdateCompletedWorkflow") else DurableWorkflowError
            raise refused(text) from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise NoWorkerError(
                Advice(
                    f"No worker took the message to thread {thread_id!r} in time. If one takes it later, follow it "
                    "with ",
                    Step(Way.FOLLOW, thread_id),
                    ".",
                )
            ) from error
    if message.when_running is None or receipt.pending:
        warn_still_pending(workflow_name, len(receipt.pending))


async def send_edit(
    client: Client, thread_id: str, status: RunStatus, run_input: RunInput, options: DurableOptions
) -> None:
    """Let a run that waits end, and its thread go on from an edited checkpoint, in one step.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        status: Where the run stands.
        run_input: Holds the checkpoint.
        options: Says how long a worker may take.

    Raises:
        AlreadyRunningError: When the run does not wait (any more), or has answers in hand; nothing was done.
        RunOverError: When it is over; by this edit, if the thread has its checkpoint.
        PayloadError: When the checkpoint cannot travel to a run that is open.
        NoWorkerError: When no worker has taken it in time.
    """
    if run_input.base_facts is None or run_input.edited is None or status.checkpoint is None:
        raise RuntimeError("There is no edit; this is a bug.")
    update = EditUpdate(
        seen_checkpoint_id=status.checkpoint.checkpoint_id,
        facts=run_input.base_facts,
        edited=run_input.edited,
        streaming=run_input.streaming,
    ).with_frame(run_input.frame)
    handle: Any = client.get_workflow_handle(thread_id, run_id=status.run_id)
    update_id = uuid.uuid4().hex
    with rpc_errors(client, f"edit thread {thread_id!r}"):
        try:
            await _retried_in_lull(
                lambda: handle.execute_update(EDIT_UPDATE, update, id=update_id, rpc_timeout=options.worker_timeout),
                options.worker_timeout.total_seconds(),
            )
        except WorkflowUpdateFailedError as error:
            kind, text = getattr(error.cause, "type", None), str(getattr(error.cause, "message", error.cause))
            if kind == NOT_EDITED:
                raise AlreadyRunningError(text) from error
            raise (PayloadError if kind == EDIT_REFUSED else DurableWorkflowError)(text) from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise NoWorkerError(
                Advice(
                    f"No worker took the edit of thread {thread_id!r} in time. One may still take it: see ",
                    Step(Way.CHECKPOINTS, thread_id),
                    ".",
                )
            ) from error
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            # The run was there a moment ago; it has ended, and the server forgets what was sent to it meanwhile.
            raise RunOverError(f"The run of thread {thread_id!r} ended while it was being edited.") from error


async def _retried_in_lull(update: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Send an update that ends a run, again where an answer has arrived in just that moment.

    The server then has the run look at both once more, and tells the sender that a workflow task has failed.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            await retried(update)
            return
        except RPCError as error:
            if error.status != RPCStatusCode.FAILED_PRECONDITION or time.monotonic() > until:
                raise
        await asyncio.sleep(_LULL)


def warn_still_pending(workflow_name: str, count: int) -> None:
    """Warn as the framework does, where its caller sees it; the worker's own runs are silent."""
    if count:
        _LOGGER.warning(_STILL_PENDING, workflow_name, count)
