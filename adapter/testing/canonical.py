"""Events and checkpoints in a form in which two runs of one workflow can be compared."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agent_framework import WorkflowCheckpoint, WorkflowEvent
from agent_framework_temporal.adapter.framework.internals import (
    MCP_BINDING,
    MCP_BINDING_KEY,
    PAUSED_BUDGET,
    RANDOM_ID_PREFIXES,
)
from pydantic import BaseModel

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[124678][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
"""Versions 3 and 5 are computed from a name: one that differs is a difference."""
_CUT = "|".join(
    # The digit that says which version of a UUID it is, where the id is long enough to have it.
    rf"{prefix}[0-9a-f]{{12}}4[0-9a-f]{{{digits - 13}}}" if digits > 12 else rf"{prefix}[0-9a-f]{{{digits}}}"
    for prefix, digits in RANDOM_ID_PREFIXES.items()
)
_RANDOM = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    rf"{_UUID}(?:\.[0-9a-f]{{12}})?"  # With what one of our checkpoint ids has behind it.
    r"|[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}"  # Without dashes: `af-call-...`, `...:replacement:...`
    rf"|{_CUT}"
    r")(?![0-9A-Za-z])"
)
_BUILD_NAME = re.compile(rf"WorkflowBuilder-{_UUID}")
"""Name of an inner workflow without one: random for each build, and so not part of what a run did."""
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+\b")
_IGNORED = frozenset({"raw_representation", "traceback", "timestamp", "created_at"})
_SECRETS = frozenset({MCP_BINDING, MCP_BINDING_KEY})
_UNSEEN = "<id>"


class Canonical:
    """Turns values into plain data with their types; random ids become numbers in the order they are met.

    The same id always becomes the same number, so that a request answered by another's id is a difference.

    Args:
        numbered: Numbers of ids that were met already; new ones then get none.
    """

    def __init__(self, numbered: Mapping[str, str] | None = None) -> None:
        self._ids = dict(numbered or {})
        self._is_numbering = numbered is None

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
        if type(value) is str:
            return _RANDOM.sub(lambda match: self._number(match[0]), _ADDRESS.sub("at <address>", _named(value)))
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
        if isinstance(value, str | int | float | bytes):
            return [type(value).__qualname__, self.value(_plain(value))]
        if isinstance(value, set | frozenset):
            # Their order is random as well: it comes from what is known without the new ids among them.
            known = Canonical(self._ids)
            return [type(value).__qualname__, *map(self.value, sorted(value, key=lambda item: repr(known.value(item))))]
        if isinstance(value, list | tuple):
            return [type(value).__qualname__, *(self.value(item) for item in value)]
        if isinstance(value, Mapping):
            return self._mapping(value)
        return [type(value).__qualname__, self._fields(value)]

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        ignored = _IGNORED | PAUSED_BUDGET if value.keys() >= PAUSED_BUDGET else _IGNORED
        return {
            repr(self.value(key)): self._number(item) if key in _SECRETS and isinstance(item, str) else self.value(item)
            for key, item in value.items()
            if key not in ignored
        }

    def _number(self, found: str) -> str:
        """Return what stands for an id."""
        if not self._is_numbering:
            return self._ids.get(found, _UNSEEN)
        return self._ids.setdefault(found, f"<id {len(self._ids)}>")

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


def _plain(value: str | int | float | bytes) -> str | int | float | bytes:
    """Return the value of a class of its own as one of the class it derives from."""
    if isinstance(value, bytes):
        return bytes(value)
    return next(plain(value) for plain in (str, int, float) if isinstance(value, plain))


def _named(text: str) -> str:
    return _BUILD_NAME.sub("WorkflowBuilder-<build>", text)
