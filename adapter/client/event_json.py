"""Events and results of a run as JSON, one object a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent_framework import WorkflowEvent, WorkflowRunResult

from ...workflows.messages import PendingRequest
from ..checkpoints.handle import Checkpoint
from ..framework.catalog import type_name
from ..framework.values import preview
from .event_position import LiveEventsDiscarded, calls_of, position_of
from .usage import RunUsage


def event_json(event: WorkflowEvent[Any]) -> dict[str, Any]:
    """Return an event as JSON data; what it does not have is left out."""
    position = position_of(event)
    found: dict[str, Any] = {"type": event.type}
    if position is not None:
        found |= {
            "offset": position.offset,
            "superstep": position.superstep,
            "attempt": position.attempt,
            "live": position.live,
        }
    if isinstance(event, LiveEventsDiscarded):
        found |= {"superstep": event.superstep, "attempt": event.attempt, "offsets": list(event.offsets)}
    calls = calls_of(event)
    if calls is not None and event.type in ("superstep_completed", "failed"):
        found |= {"calls_made": calls.made, "calls_taken": calls.taken}
    if event.executor_id is not None:
        found["executor_id"] = event.executor_id
    if event.iteration is not None:
        found["iteration"] = event.iteration
    if event.state is not None:
        found["state"] = event.state.name
    if event.type == "request_info":
        found |= request_json(event)
        del found["request"]
    if event.details is not None:
        details = event.details
        found["error"] = {"type": details.error_type, "message": details.message, "executor_id": details.executor_id}
    elif event.data is not None:
        found["data"] = preview(event.data)[0]
    return found


def request_json(event: WorkflowEvent[Any]) -> dict[str, Any]:
    """Return a request_info event as JSON data."""
    return {
        "request_id": event.request_id,
        "executor_id": event.source_executor_id,
        "response_type": type_name(event.response_type) if isinstance(event.response_type, type) else None,
        "request": preview(event.data)[0],
    }


def result_json(
    result: WorkflowRunResult, checkpoint: Checkpoint, pending: Sequence[PendingRequest], usage: RunUsage | None
) -> dict[str, Any]:
    """Return the result of a call, with the handle by which a program goes on."""
    return {
        "type": "result",
        "workflow": checkpoint.workflow_name,
        "thread_id": checkpoint.thread_id,
        "state": result.get_final_state().name,
        "outputs": [preview(output)[0] for output in result.get_outputs()],
        "pending_requests": [_pending_json(request) for request in pending],
        "checkpoint": checkpoint.model_dump(mode="json"),
        **usage_json(usage),
    }


def usage_json(usage: RunUsage | None) -> dict[str, Any]:
    """Return what a run has called and what that cost as JSON data; nothing where it is not known."""
    if usage is None:
        return {}
    return {
        "calls_made": dict(usage.calls_made),
        "calls_taken": dict(usage.calls_taken),
        "usage": dict(usage.usage),
        "usage_by_executor": {name: dict(details) for name, details in usage.executors.items()},
    }


def _pending_json(request: PendingRequest) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "executor_id": request.executor_id,
        "response_type": request.response_type,
        "request": request.request,
    }
