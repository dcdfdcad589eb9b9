"""A client that reads threads from files: histories of production, where no server is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agent_framework_temporal.adapter.temporal.client import framed_client
from temporalio.api.enums.v1 import EventType, HistoryEventFilterType, WorkflowExecutionStatus
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    GetWorkflowExecutionHistoryReverseRequest,
    GetWorkflowExecutionHistoryReverseResponse,
)
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

_STATUS = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
    ),
}


def history_client(
    *histories: WorkflowHistory | Path | str,
    data_converter: DataConverter | None = None,
    namespace: str = "default",
) -> Client:
    """Return a client of the threads in these histories, which only reads, for `replay_superstep` without a server.

    A run's history has all that its supersteps begin with, but for the last checkpoint of the run before it: give both
    to run a run's first superstep of a thread that went on.

    Args:
        *histories: Of one run each, oldest first: or files with one as JSON, named after their thread, as `temporal
            workflow show --output json` writes it.
        data_converter: That of the workers, where it has a codec: `sealing_data_converter(keys=keys)`.
        namespace: Of the threads.
    """
    read = [found if isinstance(found, WorkflowHistory) else read_history(Path(found)) for found in histories]
    return client_of(read, data_converter=data_converter, namespace=namespace)


def client_of(
    histories: Sequence[WorkflowHistory], *, data_converter: DataConverter | None = None, namespace: str = "default"
) -> Client:
    """Return a client of histories; see `history_client`."""
    service: Any = SimpleNamespace(
        config=SimpleNamespace(target_host="files", lazy=False), workflow_service=_Histories(histories)
    )
    return framed_client(Client(service, namespace=namespace, data_converter=data_converter or DataConverter.default))


def read_history(path: Path, thread_id: str | None = None) -> WorkflowHistory:
    """Read a history from a file, which is named after its thread where that is not said."""
    return WorkflowHistory.from_json(thread_id or path.stem, path.read_text(encoding="utf-8"))


class _Histories:
    """What of the server's service reads histories."""

    def __init__(self, histories: Sequence[WorkflowHistory]) -> None:
        self._runs: dict[tuple[str, str], list[HistoryEvent]] = {}
        self._latest: dict[str, str] = {}
        for history in histories:
            events = list(history.events)
            run_id = events[0].workflow_execution_started_event_attributes.original_execution_run_id
            self._runs[history.workflow_id, run_id] = events
            self._latest[history.workflow_id] = run_id

    async def get_workflow_execution_history(
        self, request: GetWorkflowExecutionHistoryRequest, **_: Any
    ) -> GetWorkflowExecutionHistoryResponse:
        events = self._found(request.execution)[1]
        closing = request.history_event_filter_type == HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
        return GetWorkflowExecutionHistoryResponse(history=History(events=events[-1:] if closing else events))

    async def get_workflow_execution_history_reverse(
        self, request: GetWorkflowExecutionHistoryReverseRequest, **_: Any
    ) -> GetWorkflowExecutionHistoryReverseResponse:
        events = self._found(request.execution)[1]
        return GetWorkflowExecutionHistoryReverseResponse(history=History(events=events[::-1]))

    async def describe_workflow_execution(
        self, request: DescribeWorkflowExecutionRequest, **_: Any
    ) -> DescribeWorkflowExecutionResponse:
        run_id, events = self._found(request.execution)
        started = events[0].workflow_execution_started_event_attributes
        response = DescribeWorkflowExecutionResponse()
        info = response.workflow_execution_info
        info.execution.workflow_id, info.execution.run_id = request.execution.workflow_id, run_id
        info.type.CopyFrom(started.workflow_type)
        info.memo.CopyFrom(started.memo)
        info.search_attributes.CopyFrom(started.search_attributes)
        info.task_queue = started.task_queue.name
        info.history_length = len(events)
        info.start_time.CopyFrom(events[0].event_time)
        info.status = _STATUS.get(events[-1].event_type, WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING)
        return response

    def _found(self, execution: Any) -> tuple[str, list[HistoryEvent]]:
        run_id = execution.run_id or self._latest.get(execution.workflow_id, "")
        events = self._runs.get((execution.workflow_id, run_id))
        if events is None:
            raise RPCError(f"workflow not found for ID: {execution.workflow_id}", RPCStatusCode.NOT_FOUND, b"")
        return run_id, events
