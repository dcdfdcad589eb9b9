"""The read-only interface of the framework's `Workflow`, of the definition that the facade was made from."""

from __future__ import annotations

from types import UnionType
from typing import Any

from agent_framework import Executor, Workflow

from ..framework.definition import WorkflowSource, is_workflow


class WorkflowInterface:
    """What a workflow is, without running it; no round trip.

    A facade made from the workflow's name or from an async factory has no definition: each of these raises
    `AttributeError` then, so that code which asks by `hasattr` sees what there is.
    """

    _source: WorkflowSource | None

    @property
    def _built(self) -> Workflow:
        if not is_workflow(self._source):
            raise AttributeError(
                "This needs the workflow's definition: create the facade from an instance or a synchronous factory."
            )
        return self._source

    @property
    def id(self) -> str:
        """The framework's id of the instance that the facade was made from; it names no thread."""
        return self._built.id

    @property
    def description(self) -> str | None:
        """What the workflow does."""
        return self._built.description

    @property
    def executors(self) -> dict[str, Executor]:
        """The executors by id. They are shown; those that run are on the workers."""
        return self._built.executors

    @property
    def edge_groups(self) -> list[Any]:
        """The edges."""
        return self._built.edge_groups

    @property
    def start_executor_id(self) -> str:
        """Id of the start executor."""
        return self._built.start_executor_id

    @property
    def max_iterations(self) -> int:
        """Supersteps that one message, with its answers, may take."""
        return self._built.max_iterations

    @property
    def graph_signature(self) -> dict[str, Any]:
        """The graph as checkpoints are held to it."""
        return self._built.graph_signature

    @property
    def graph_signature_hash(self) -> str:
        """Hash of the graph's signature."""
        return self._built.graph_signature_hash

    @property
    def input_types(self) -> list[type[Any] | UnionType]:
        """Types of the messages that the start executor takes."""
        return self._built.input_types

    @property
    def output_types(self) -> list[type[Any] | UnionType]:
        """Types of the outputs."""
        return self._built.output_types

    def get_start_executor(self) -> Executor:
        """Return the start executor."""
        return self._built.get_start_executor()

    def get_executors_list(self) -> list[Executor]:
        """Return the executors."""
        return self._built.get_executors_list()

    def get_output_executors(self) -> list[Executor]:
        """Return the executors whose outputs are the workflow's."""
        return self._built.get_output_executors()

    def get_intermediate_executors(self) -> list[Executor]:
        """Return the executors whose outputs are intermediate."""
        return self._built.get_intermediate_executors()

    def is_terminal_executor(self, executor_id: str) -> bool:
        """Tell whether what an executor yields is an output of the workflow."""
        return self._built.is_terminal_executor(executor_id)

    def is_intermediate_executor(self, executor_id: str) -> bool:
        """Tell whether what an executor yields is an intermediate output."""
        return self._built.is_intermediate_executor(executor_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain data."""
        return self._built.to_dict()

    def to_json(self) -> str:
        """Return the definition as JSON."""
        return self._built.to_json()
