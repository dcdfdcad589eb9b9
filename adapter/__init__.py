"""What a caller imports: facade, checkpoint handle, plugin, options, errors."""

from __future__ import annotations

from ._checkpoint import Checkpoint, Response
from ._codec_server import codec_app
from ._converter import FramedPayloadConverter
from ._dev_server import DevServer, start_dev_server
from ._durable_workflow import DurableWorkflow
from ._errors import (
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
    ServerBusyError,
    ServerUnreachableError,
    StaleCheckpointError,
    ThreadExistsError,
    ThreadNotFoundError,
    ThreadPausedError,
    WorkflowNotHostedError,
)
from ._executor_policy import ExecutorPolicy
from ._file_driver import FileStorageDriver
from ._inbox import inbox
from ._invocation import Superstep, current_superstep, idempotency_key
from ._lineage import CheckpointInfo
from ._options import DurableOptions
from ._plugin import AgentFrameworkPlugin
from ._position import EventPosition, LiveEventsVoid, position_of
from ._request_rules import RequestPolicy
from ._sealing import SealingCodec, sealed
from ._search_attributes import register_search_attributes
from ._storage import HistoryCheckpointStorage

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
    "ServerBusyError",
    "ServerUnreachableError",
    "StaleCheckpointError",
    "Superstep",
    "ThreadExistsError",
    "ThreadNotFoundError",
    "ThreadPausedError",
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
