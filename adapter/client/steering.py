"""Updates that steer a thread's open run: `withdraw`, `pause`, `continue` and `breakpoints`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError

from ...workflows.exported import exported
from ...workflows.messages import PauseReason, QueuedMessage, RefusedMessage, RunStatus, SteeringReceipt, WireModel
from ...workflows.next_message import NOT_QUEUED
from ...workflows.steering import NOT_PAUSED
from ..errors import (
    AlreadyRunningError,
    DurableWorkflowError,
    MessageRefusedError,
    NoWorkerError,
    ThreadNotFoundError,
)
from ..temporal.server import RunOverError, retried, rpc_errors
from .options import DurableOptions

_ERRORS: dict[str, type[DurableWorkflowError]] = {NOT_QUEUED: MessageRefusedError, NOT_PAUSED: AlreadyRunningError}


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringStatus:
    """What waits in a thread's run, and what holds it."""

    state: str
    """`running`, `waiting`, `paused`, `idle`, `failed`, or another that a newer release has written."""
    superstep: int
    """The last that was committed."""
    executors: list[str]
    """Whom the next one may run."""
    pause: PauseReason | None
    """What a healthy run is held for before its next superstep, or will be; `state` is `paused` once it is."""
    breakpoints: list[str]
    """Before whom it pauses."""
    queued_messages: list[QueuedMessage]
    """Messages that wait for their turn, the next one first."""
    refused_messages: list[RefusedMessage]
    """The last messages that were taken and are not run."""
    priority: int | None
    """Of its supersteps, 1 first; None where it is the server's default."""
    fairness_key: str | None
    """Whose run it is; None where nobody has said."""
    fairness_weight: float | None
    """How large the share of that key is."""


def steering_of(status: RunStatus) -> SteeringStatus:
    """Return what a run's status tells of it."""
    return SteeringStatus(
        state=status.state,
        superstep=status.superstep,
        executors=status.executors,
        pause=status.pause,
        breakpoints=status.breakpoints or [],
        queued_messages=status.queued_messages or [],
        refused_messages=status.refused_messages or [],
        priority=status.priority,
        fairness_key=status.fairness_key,
        fairness_weight=status.fairness_weight,
    )


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
        AlreadyRunningError: When nothing holds the run that is to continue.
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
                raise _ERRORS.get(kind or "", DurableWorkflowError)(text) from error
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                raise NoWorkerError(
                    f"No worker of thread {thread_id!r} answered in time, so it is not known whether it was done. "
                    "Start a worker and try again."
                ) from error
    except RunOverError as error:
        raise ThreadNotFoundError(f"Thread {thread_id!r} has no open run to {name}.") from error
    return receipt
