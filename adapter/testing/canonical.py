"""Events and checkpoints in a form in which two runs of one workflow can be compared."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agent_framework import WorkflowCheckpoint, WorkflowEvent
from pydantic import BaseModel

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:\.[0-9a-f]{12})?")
"""With what a checkpoint id of ours has behind it."""
_BUILD_NAME = re.compile(rf"WorkflowBuilder-{_UUID.pattern}")
"""Name of an inner workflow without one: random for each build, and so no part of what a run did."""
_IGNORED = frozenset({"raw_representation", "traceback", "timestamp", "created_at"})


class Canonical:
    """Turns values into plain data with their types; random ids become numbers in the order they are met."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def events(self, events: Iterable[WorkflowEvent[Any]]) -> list[Any]:
        """Return events as plain data."""
        return [self._event(event) for event in events]

    def checkpoints(self, checkpoints: Iterable[WorkflowCheckpoint]) -> list[Any]:
        """Return checkpoints as plain data, the metadata left out: it is the storage's own."""
        return [
            {
                "id": self.value(checkpoint.checkpoint_id),
                "previous": self.value(checkpoint.previous_checkpoint_id),
                "superstep": checkpoint.iteration_count,
                "graph": checkpoint.graph_signature_hash,
                "name": checkpoint.workflow_name,
                "messages": self.value(checkpoint.messages),
                "state": self.value(checkpoint.state),
                "pending": {
                    self.value(key): self._event(event) for key, event in checkpoint.pending_request_info_events.items()
                },
            }
            for checkpoint in checkpoints
        ]

    def value(self, value: Any) -> Any:
        """Return any value as plain data."""
        if isinstance(value, str) and type(value) is str:
            named = _BUILD_NAME.sub("WorkflowBuilder-<build>", value)
            return _UUID.sub(lambda match: self._ids.setdefault(match[0], f"<id {len(self._ids)}>"), named)
        if value is None or type(value) in (bool, int, float, bytes):
            return value
        if isinstance(value, WorkflowEvent):
            return self._event(value)
        if isinstance(value, enum.Enum):
            return f"{type(value).__name__}.{value.name}"
        if isinstance(value, type):
            return value.__qualname__
        if isinstance(value, BaseException):
            return [type(value).__qualname__, self.value(str(value))]
        if isinstance(value, set | frozenset):
            return [type(value).__qualname__, *sorted(map(repr, value))]
        if isinstance(value, list | tuple):
            return [type(value).__qualname__, *(self.value(item) for item in value)]
        if isinstance(value, Mapping):
            return {repr(self.value(key)): self.value(item) for key, item in value.items() if key not in _IGNORED}
        return [type(value).__qualname__, self._fields(value)]

    def _fields(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return self.value({name: getattr(value, name) for name in type(value).model_fields})
        if dataclasses.is_dataclass(value):
            return self.value({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        if hasattr(value, "__dict__"):
            return self.value(vars(value))
        return self.value(str(value))

    def _event(self, event: WorkflowEvent[Any]) -> Any:
        found: dict[str, Any] = {"type": event.type, "class": type(event).__name__, "origin": event.origin.value}
        for name in ("executor_id", "iteration", "state", "details"):
            if getattr(event, name) is not None:
                found[name] = self.value(getattr(event, name))
        if event.type == "request_info":
            found["request_id"] = self.value(event.request_id)
            found["source"] = event.source_executor_id
            found["types"] = [str(event.request_type), str(event.response_type)]
        found["data"] = self.value(event.data)
        return found
