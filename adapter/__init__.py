"""What a caller imports: facade, checkpoint handle, plugin, options, errors."""

from __future__ import annotations

from ..activities.invocation import Superstep, current_superstep, idempotency_key
from .checkpoints.lineage import CheckpointInfo
from .checkpoints.storage import HistoryCheckpointStorage
from .client.durable_workflow import DurableWorkflow
from .client.event_position import EventPosition, LiveEventsVoid, position_of
from .client.executor_policy import ExecutorPolicy
from .client.handle import Checkpoint, Response
from .client.inbox import inbox
from .client.options import DurableOptions
from .client.request_policy import RequestPolicy
from .commands.codec_server import codec_app
from .commands.dev_server import DevServer, start_dev_server
from .errors import (
    AlreadyRunningError,
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflowError,
    GraphChangedError,
    HistoryReadOnlyError,
    HostingError,
    NotSealedError,
    NoWorkerError,
    PayloadError,
    PendingRequestsError,
    RequestExpiredError,
    RunCancelledError,
    RunFailedError,
    RunTerminatedError,
    RunTimedOutError,
    SearchAttributesError,
    ServerUnreachableError,
    StaleCheckpointError,
    ThreadExistsError,
    ThreadNotFoundError,
    WorkflowNotHostedError,
)
from .plugin import AgentFrameworkPlugin
from .temporal.converter import FramedPayloadConverter
from .temporal.file_driver import FileStorageDriver
from .temporal.sealing import SealingCodec, sealed
from .temporal.search_attributes import register_search_attributes

__all__ = [
    "AgentFrameworkPlugin",
    "AlreadyRunningError",
    "Checkpoint",
    "CheckpointCorruptedError",
    "CheckpointInfo",
    "CheckpointNotFoundError",
    "DevServer",
    "DurableOptions",
    "DurableWorkflow",
    "DurableWorkflowError",
    "EventPosition",
    "ExecutorPolicy",
    "FileStorageDriver",
    "FramedPayloadConverter",
    "GraphChangedError",
    "HistoryCheckpointStorage",
    "HistoryReadOnlyError",
    "HostingError",
    "LiveEventsVoid",
    "NoWorkerError",
    "NotSealedError",
    "PayloadError",
    "PendingRequestsError",
    "RequestExpiredError",
    "RequestPolicy",
    "Response",
    "RunCancelledError",
    "RunFailedError",
    "RunTerminatedError",
    "RunTimedOutError",
    "SealingCodec",
    "SearchAttributesError",
    "ServerUnreachableError",
    "StaleCheckpointError",
    "Superstep",
    "ThreadExistsError",
    "ThreadNotFoundError",
    "WorkflowNotHostedError",
    "codec_app",
    "current_superstep",
    "idempotency_key",
    "inbox",
    "position_of",
    "register_search_attributes",
    "sealed",
    "start_dev_server",
]
