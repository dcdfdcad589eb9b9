"""What a caller imports: facade, checkpoint handle, plugin, options, errors."""

from __future__ import annotations

from ._checkpoint import Checkpoint, Response
from ._converter import FramedPayloadConverter
from ._dev_server import DevServer, start_dev_server
from ._durable_workflow import DurableWorkflow
from ._errors import (
    AlreadyRunningError,
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflowError,
    GraphChangedError,
    HostingError,
    NoWorkerError,
    PayloadError,
    PendingRequestsError,
    RunCancelledError,
    RunFailedError,
    RunTerminatedError,
    RunTimedOutError,
    ServerUnreachableError,
    StaleCheckpointError,
    ThreadNotFoundError,
    WorkflowNotHostedError,
)
from ._options import DurableOptions
from ._plugin import AgentFrameworkPlugin

__all__ = [
    "AgentFrameworkPlugin",
    "AlreadyRunningError",
    "Checkpoint",
    "CheckpointCorruptedError",
    "CheckpointNotFoundError",
    "DevServer",
    "DurableOptions",
    "DurableWorkflow",
    "DurableWorkflowError",
    "FramedPayloadConverter",
    "GraphChangedError",
    "HostingError",
    "NoWorkerError",
    "PayloadError",
    "PendingRequestsError",
    "Response",
    "RunCancelledError",
    "RunFailedError",
    "RunTerminatedError",
    "RunTimedOutError",
    "ServerUnreachableError",
    "StaleCheckpointError",
    "ThreadNotFoundError",
    "WorkflowNotHostedError",
    "start_dev_server",
]
