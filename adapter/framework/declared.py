"""What the executors of a workflow declare: the types of their messages, requests, responses and kept state."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent_framework import (
    AgentExecutor,
    AgentExecutorCheckpointState,
    Executor,
    SubWorkflowResponseMessage,
    Workflow,
    WorkflowExecutor,
)

from .catalog import members, runtime_class
from .internals import internal_source, matches, request_types
from .static import has_base


@dataclass(frozen=True, slots=True)
class DeclaredExecutor:
    """What one executor declares."""

    inputs: tuple[Any, ...]
    """Types of the messages that it handles."""
    requests: tuple[tuple[Any, Any], ...]
    """Types of its requests and of their responses."""
    state: Mapping[str, Any]
    """Types of what it keeps, by key, where it says so."""
    keeps_requests: bool
    """Whether it is an agent's, which notes in its state which of its requests wait."""
    inner: DeclaredWorkflow | None
    """The sub-workflow that it is."""


@dataclass(frozen=True, slots=True)
class DeclaredWorkflow:
    """What the executors of a workflow declare, and where their messages go."""

    executors: Mapping[str, DeclaredExecutor]
    targets: Mapping[str, tuple[str, ...]]
    """Ids of the executors that an edge leads to, by the source of the message."""

    def receivers(self, source: str, target: str | None) -> list[str]:
        """Return the executors that a message may reach: all that an edge leads to, or the one that it names."""
        reached = self.targets.get(source, ())
        return [name for name in reached if target in (None, name)]

    def pairs(self, executor_id: str) -> Iterator[tuple[Any, Any]]:
        """Yield the requests that an executor may have asked; a sub-workflow passes on those of its executors."""
        found = self.executors[executor_id]
        if found.inner is None:
            yield from found.requests
        else:
            for name in found.inner.executors:
                yield from found.inner.pairs(name)

    def takes(self, executor_id: str, data: Any) -> bool:
        """Tell whether an executor handles a message, alone or, behind a fan-in, in a list with others."""
        return any(matches(data, annotation) for annotation in self.expected(executor_id))

    def expected(self, executor_id: str) -> tuple[Any, ...]:
        """Return the types of the messages that may be sent to an executor."""
        inputs = [member for found in self.executors[executor_id].inputs for member in members(found)]
        listed = [found for found in inputs if runtime_class(found) is list and typing.get_args(found)]
        return (*inputs, *(member for found in listed for member in members(typing.get_args(found)[0])))


def declared_types(workflow: Workflow) -> DeclaredWorkflow:
    """Return what the executors of a workflow declare, those of its sub-workflows included."""
    targets: dict[str, dict[str, None]] = {internal_source(name): {name: None} for name in workflow.executors}
    for group in workflow.edge_groups:
        for edge in group.edges:
            targets.setdefault(edge.source_id, {})[edge.target_id] = None
    return DeclaredWorkflow(
        {executor.id: _declared(executor) for executor in workflow.executors.values()},
        {source: tuple(found) for source, found in targets.items()},
    )


def _declared(executor: Executor) -> DeclaredExecutor:
    inner = executor.workflow if isinstance(executor, WorkflowExecutor) else None
    agents = isinstance(executor, AgentExecutor)
    return DeclaredExecutor(
        inputs=tuple(executor.input_types) if inner is None else (*inner.input_types, SubWorkflowResponseMessage),
        requests=tuple(request_types(executor)),
        state=_kept(AgentExecutorCheckpointState if agents else _returned(executor)),
        keeps_requests=agents,
        inner=None if inner is None else declared_types(inner),
    )


def _returned(executor: Executor) -> Any:
    return _hints(type(executor).on_checkpoint_save).get("return")


def _kept(annotation: Any) -> dict[str, Any]:
    """Return the types of an executor's state, where it is declared as a typed dictionary."""
    found = _hints(annotation) if _is_typed_dict(annotation) else {}
    # What is itself a typed dictionary is, when it is there, a plain one.
    return {key: dict if _is_typed_dict(hint) else hint for key, hint in found.items()}


def _is_typed_dict(annotation: Any) -> bool:
    """Tell it of those of `typing_extensions`, too, which the framework uses."""
    return isinstance(annotation, type) and has_base(annotation, dict) and hasattr(annotation, "__total__")


def _hints(annotated: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(annotated)
    except (NameError, TypeError, AttributeError):
        return {}  # Annotations that cannot be evaluated here say nothing.
