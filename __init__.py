"""Run Microsoft Agent Framework workflows durably on Temporal.

The public names below are imported on first use: the generic Temporal workflow lives in this package too, its sandbox
imports this module, and the framework itself cannot be imported there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import (
        AgentFrameworkPlugin,
        AlreadyRunningError,
        Checkpoint,
        CheckpointCorruptedError,
        CheckpointInfo,
        CheckpointNotFoundError,
        DevServer,
        DurableOptions,
        DurableWorkflow,
        DurableWorkflowError,
        EventPosition,
        ExecutorPolicy,
        FileStorageDriver,
        FramedPayloadConverter,
        GraphChangedError,
        HistoryCheckpointStorage,
        HistoryReadOnlyError,
        HostingError,
        LiveEventsVoid,
        NotSealedError,
        NoWorkerError,
        PayloadError,
        PendingRequestsError,
        RequestExpiredError,
        RequestPolicy,
        Response,
        RunCancelledError,
        RunFailedError,
        RunTerminatedError,
        RunTimedOutError,
        SealingCodec,
        SearchAttributesError,
        ServerBusyError,
        ServerUnreachableError,
        StaleCheckpointError,
        Superstep,
        ThreadExistsError,
        ThreadNotFoundError,
        ThreadPausedError,
        WorkflowNotHostedError,
        codec_app,
        current_superstep,
        idempotency_key,
        inbox,
        position_of,
        register_search_attributes,
        sealed,
        start_dev_server,
    )

__version__ = "0.1.0"

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
    "__version__",
    "codec_app",
    "current_superstep",
    "idempotency_key",
    "inbox",
    "position_of",
    "register_search_attributes",
    "sealed",
    "start_dev_server",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.adapter"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
