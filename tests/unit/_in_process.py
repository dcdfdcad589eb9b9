"""Runs gallery rows in process and keeps every checkpoint as it was when the framework saved it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from agent_framework import (
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowCheckpoint,
    WorkflowEvent,
    WorkflowRunResult,
)
from pydantic import BaseModel

from tests.parity.gallery import GALLERY, Row


@dataclass
class Recording:
    """What an in-process run of a row left behind."""

    workflow: Workflow
    checkpoints: list[WorkflowCheckpoint] = field(default_factory=list)
    events: list[WorkflowEvent[Any]] = field(default_factory=list)
    given: list[tuple[Any, tuple[Any, ...]]] = field(default_factory=list)
    """Each message and response, with the types declared for it."""


async def record(row: Row) -> Recording:
    """Run all turns of a row on one instance."""
    workflow = row.build()
    recording = Recording(workflow)
    storage = InMemoryCheckpointStorage()
    pending: dict[str, WorkflowEvent[Any]] = {}
    for turn in row.turns:
        kwargs: dict[str, Any] = {"checkpoint_storage": storage}
        if turn.respond is not None:
            responses = turn.respond({request_id: event.data for request_id, event in pending.items()})
            for request_id, response in responses.items():
                if request_id in pending:
                    recording.given.append((response, (pending[request_id].response_type,)))
            kwargs["responses"] = responses
        else:
            recording.given.append((turn.message, tuple(workflow.input_types)))
            kwargs["message"] = turn.message
        for name in ("function_invocation_kwargs", "client_kwargs"):
            if getattr(turn, name) is not None:
                kwargs[name] = getattr(turn, name)
        try:
            if turn.stream:
                async for event in workflow.run(stream=True, **kwargs):
                    recording.events.append(event)
            else:
                result: WorkflowRunResult = await workflow.run(include_status_events=True, **kwargs)
                recording.events.extend(result)
        except Exception:
            if turn.raises is None:
                raise
        latest = await storage.get_latest(workflow_name=workflow.name)
        pending = dict(latest.pending_request_info_events) if latest is not None else {}
    recording.checkpoints = await storage.list_checkpoints(workflow_name=workflow.name)
    return recording


def row(name: str) -> Row:
    """Return a row of the gallery."""
    return next(row for row in GALLERY if row.name == name)


def comparable(value: Any, depth: int = 0) -> Any:
    """Take a value apart into what can be compared: framework objects have no equality of their own."""
    if depth > 40:
        return "..."
    if isinstance(value, Enum | type) or value is None or isinstance(value, str | int | float | bytes):
        return value
    if isinstance(value, BaseException):
        return (type(value), str(value))
    if isinstance(value, dict):
        return (type(value), {comparable(k, depth + 1): comparable(v, depth + 1) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(comparable(item, depth + 1) for item in value))
    if isinstance(value, set | frozenset):
        return (type(value), frozenset(comparable(item, depth + 1) for item in value))
    attributes: dict[str, Any] = {}
    if isinstance(value, BaseModel):
        attributes = dict(value)
    elif is_dataclass(value):
        attributes = {item.name: getattr(value, item.name, None) for item in fields(value)}
    elif hasattr(value, "__dict__") and type(value).__module__ not in ("typing", "types"):
        attributes = dict(vars(value))
    else:
        return value
    for dropped in ("raw_representation", "_raw_representation"):
        attributes.pop(dropped, None)
    return (type(value), {name: comparable(item, depth + 1) for name, item in attributes.items()})
