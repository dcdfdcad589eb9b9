"""A checkpoint as a person edits it, and whether what has become of it fits what the workflow's executors declare."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from agent_framework import WorkflowCheckpoint, WorkflowEvent, WorkflowMessage

from ...workflows.exported import exported
from ..framework.declared import DeclaredWorkflow
from ..framework.internals import (
    EXECUTOR_STATE,
    FRAMEWORK_STATE,
    SUB_WORKFLOW,
    buffered_messages,
    internal_source,
    new_event,
)
from .label import loads_checkpoint


@exported
class CheckpointEdit:
    """A checkpoint that is being edited: change what it holds in place.

    What the framework keeps for itself is left out, and stays as it was.

    Args:
        checkpoint: A copy of its own.
        declared: What the workflow's executors declare.
    """

    def __init__(self, checkpoint: WorkflowCheckpoint, declared: DeclaredWorkflow) -> None:
        self._checkpoint = checkpoint
        self._annotations: dict[str, Any] = {}
        kept = checkpoint.state.get(EXECUTOR_STATE, {})
        self.state: dict[str, Any] = {
            key: value for key, value in checkpoint.state.items() if key not in FRAMEWORK_STATE
        }
        """Shared state, by key."""
        self.sub_workflows: dict[str, CheckpointEdit] = {
            name: CheckpointEdit(kept[name][SUB_WORKFLOW], found.inner)
            for name, found in declared.executors.items()
            if found.inner is not None and isinstance(kept.get(name, {}).get(SUB_WORKFLOW), WorkflowCheckpoint)
        }
        """Sub-workflows, by the ids of their executors."""
        self.executor_state: dict[str, dict[str, Any]] = {
            name: {key: value for key, value in state.items() if key != SUB_WORKFLOW or name not in self.sub_workflows}
            for name, state in kept.items()
        }
        """What the executors keep for themselves, by executor and key; of an agent its conversation."""
        self.messages: list[WorkflowMessage] = [
            message for messages in checkpoint.messages.values() for message in messages
        ]
        """Messages in flight: what the next superstep delivers."""
        self.buffered: tuple[WorkflowMessage, ...] = tuple(buffered_messages(checkpoint.state))
        """Messages that wait in fan-ins for those of other sources: their data can be changed."""
        self.pending: dict[str, WorkflowEvent[Any]] = dict(checkpoint.pending_request_info_events)
        """Requests that wait for responses, by id."""

    @property
    def checkpoint_id(self) -> str:
        """Id of the checkpoint that is edited."""
        return self._checkpoint.checkpoint_id

    @property
    def superstep(self) -> int:
        """The framework's iteration count."""
        return self._checkpoint.iteration_count

    @property
    def annotations(self) -> Mapping[str, Any]:
        """What `declare` was told."""
        return self._annotations

    def declare(self, key: str, annotation: Any) -> None:
        """Let a key of the shared state hold another type than that of the value it had.

        Args:
            key: The key.
            annotation: The type, as in `int | None`.
        """
        self._annotations[key] = annotation

    def send(self, data: Any, to: str) -> None:
        """Add a message in flight, as the framework delivers what a run begins with: to one executor, over no edge.

        Args:
            data: Of a type that the executor handles.
            to: Id of the executor.
        """
        self.messages.append(WorkflowMessage(data=data, source_id=internal_source(to), target_id=to))

    def ask(self, executor_id: str, data: Any, response_type: Any, *, request_id: str | None = None) -> str:
        """Add a pending request.

        Args:
            executor_id: The executor that takes the response; it declares this pair of types.
            data: The request.
            response_type: Type of the response.
            request_id: Its id; a new one when left out.

        Returns:
            The id.
        """
        chosen = request_id or str(uuid.uuid4())
        self.pending[chosen] = new_request(chosen, executor_id, data, response_type)
        return chosen

    def finished(self) -> WorkflowCheckpoint:
        """Return the checkpoint as it is now."""
        before = self._checkpoint
        kept = before.state.get(EXECUTOR_STATE, {})
        executors: dict[str, Any] = {}
        for name in [*kept, *(name for name in self.executor_state if name not in kept)]:
            if name in self.executor_state or name in self.sub_workflows:
                executors[name] = dict(self.executor_state.get(name, {}))
            if name in self.sub_workflows:
                executors[name][SUB_WORKFLOW] = self.sub_workflows[name].finished()
        state: dict[str, Any] = {}
        for key in [*before.state, *(key for key in self.state if key not in before.state)]:
            if key in FRAMEWORK_STATE:
                state[key] = executors if key == EXECUTOR_STATE else before.state.get(key)
            elif key in self.state:
                state[key] = self.state[key]
        if executors:
            state[EXECUTOR_STATE] = executors
        messages: dict[str, list[WorkflowMessage]] = {}
        for message in self.messages:
            messages.setdefault(message.source_id, []).append(message)
        return dataclasses.replace(
            before, state=state, messages=messages, pending_request_info_events=dict(self.pending)
        )


def editable(raw: bytes, hosted: Any) -> CheckpointEdit:
    """Return a raw checkpoint to be edited, each time a copy of its own.

    Args:
        raw: The raw checkpoint.
        hosted: The definition of its workflow.

    Raises:
        GraphChangedError: When the workflow has changed since.
        PayloadError: When it holds a type that is not declared.
    """
    return CheckpointEdit(loads_checkpoint(raw, hosted), hosted.declared)


def new_request(request_id: str, executor_id: str, data: Any, response_type: Any) -> WorkflowEvent[Any]:
    """Return a request_info event as the framework makes it when an executor asks."""
    return new_event(
        "request_info",
        request_id=request_id,
        source_executor_id=executor_id,
        data=data,
        request_type=type(data),
        response_type=response_type,
    )
