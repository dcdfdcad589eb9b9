"""Where a sealed payload belongs: it says so readably, is authenticated with it, and is opened nowhere else.

| place | what is sealed for it |
|---|---|
| a thread | its start, signals, updates and queries with their answers, its result and failure, its memo |
| supersteps of a thread | their inputs, results, failures and heartbeats |
| an invocation | what an executor on a task queue of its own is given and does: by the id of its activity |
| a schedule | the start and memo of the threads it starts: they have its id and the time of the start |

The namespace is part of each. What kind of thing it is, a start or a result, is sealed inside with it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from temporalio.converter import (
    ActivitySerializationContext,
    NexusSerializationContext,
    SerializationContext,
    WorkflowSerializationContext,
)

_OF_SCHEDULE = re.compile(r"(.+)-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.DOTALL)
"""The id of a thread that a schedule has started: that of the schedule, and when."""


@dataclass(frozen=True)
class ScheduleSerializationContext(WorkflowSerializationContext):
    """Of what a schedule starts threads with; their ids begin with `workflow_id`."""


def place_of(context: SerializationContext) -> bytes:
    """Return the place that a context of the SDK stands for."""
    if isinstance(context, ActivitySerializationContext):
        place = {"namespace": context.namespace, "activity_of": context.workflow_id}
        if not context.workflow_id:  # Of a standalone activity; its worker's SDK says the empty text.
            place = {"namespace": context.namespace, "activity": context.activity_id}
    elif isinstance(context, ScheduleSerializationContext):
        place = {"namespace": context.namespace, "schedule": context.workflow_id}
    elif isinstance(context, WorkflowSerializationContext):
        place = {"namespace": context.namespace, "thread": context.workflow_id}
    elif isinstance(context, NexusSerializationContext):
        place = {"endpoint": context.endpoint, "service": context.service, "operation": context.operation}
    else:
        place = {"context": type(context).__name__}
    return json.dumps(place, separators=(",", ":")).encode()


def fits(place: bytes, context: SerializationContext) -> bool:
    """Tell whether what is sealed for a place may be opened where a context says."""
    if place == place_of(context):
        return True
    if not isinstance(context, WorkflowSerializationContext):
        return False
    started = _OF_SCHEDULE.fullmatch(context.workflow_id)
    return started is not None and place == place_of(ScheduleSerializationContext(context.namespace, started[1]))


def describe(place: bytes) -> str:
    """Return a place for people to read; of whoever wrote it, so that its length is bounded."""
    try:
        found = json.loads(place)
        names = {str(key): repr(str(value)[:200]) for key, value in found.items()}
    except (ValueError, AttributeError, RecursionError):
        return "a place that cannot be read"
    namespace = f" in namespace {names['namespace']}" if "namespace" in names else ""
    for key, text in (
        ("activity_of", "supersteps of thread"),
        ("thread", "thread"),
        ("schedule", "schedule"),
        ("activity", "activity"),
    ):
        if key in names:
            return f"{text} {names[key]}{namespace}"
    return ", ".join(f"{key} {name}" for key, name in list(names.items())[:5]) or "no place"
