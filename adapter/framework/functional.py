"""Functional workflows of the framework: functions with `@workflow`, whose control flow is Python's own."""

from __future__ import annotations

import inspect
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from agent_framework import CheckpointStorage, FunctionalWorkflow, FunctionalWorkflowDefinition, RunContext, Workflow

from .internals import functional_steps, functional_storage

_CTX = "ctx"
"""The framework takes a parameter of this name for the `RunContext`, whatever its annotation."""


class FunctionalInstance(Workflow):
    """A built functional workflow with the interface of a graph: one that has no executors.

    What hosts, runs and shows workflows asks a graph for its executors, and finds none here; `functional` is what runs.

    Args:
        functional: What `@workflow` and `build()` have made.
    """

    def __init__(self, functional: FunctionalWorkflow) -> None:
        self.functional = functional
        self.name: str = functional.name
        self.description: str | None = functional.description
        self.id: str = str(uuid.uuid4())
        self.edge_groups: list[Any] = []
        self.executors: dict[str, Any] = {}
        self.start_executor_id: str = functional.name
        self.max_iterations = 1
        steps, functions = functional_steps(functional)
        self.functions: list[Callable[..., Any]] = functions
        self.steps: list[str] = list(dict.fromkeys(step.name for step in steps))
        """Names of the steps that its code reaches."""
        self.graph_signature: dict[str, Any] = {
            "functional": functional.name,
            "executors": {name: "step" for name in self.steps},
            "hash": functional.graph_signature_hash,
        }
        self.graph_signature_hash: str = functional.graph_signature_hash
        self.checkpoint_storage: CheckpointStorage | None = functional_storage(functional)
        """What it was built with."""

    @property
    def input_types(self) -> list[type[Any] | types.UnionType]:
        """Type of the message: that of the function's parameter, if it says one."""
        for name, annotation in _parameters(self.functions[0]):
            return [] if annotation is inspect.Parameter.empty or name == _CTX else [annotation]
        return []

    @property
    def output_types(self) -> list[type[Any] | types.UnionType]:
        """Type of what the function returns, if it says one."""
        returned = _hints(self.functions[0]).get("return")
        return [] if returned is None or returned is type(None) else [returned]

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run it in process, as `FunctionalWorkflow.run` does."""
        return self.functional.run(*args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the names of the workflow and of its steps."""
        return {"name": self.name, "id": self.id, "description": self.description, "steps": self.steps}

    def declared(self) -> Iterator[tuple[str, Any]]:
        """Yield every annotation of its function and steps, and every class that their code names, with who does."""
        for function in self.functions:
            name = function.__name__
            for annotation in _hints(function).values():
                if annotation is not RunContext:
                    yield name, annotation
            for cls in _named_classes(function):
                yield name, cls

    @property
    def modules(self) -> set[str]:
        """Modules that define it and its steps."""
        return {function.__module__ for function in self.functions}


class FunctionalFactory:
    """Builds a functional workflow anew for each superstep, from its definition or from an instance.

    A run that pauses goes on from its checkpoint, so that an instance has nothing that the next one would need.

    Args:
        source: The definition, or an instance.
    """

    def __init__(self, source: FunctionalWorkflowDefinition | FunctionalWorkflow) -> None:
        self.source = source
        self.__name__: str = source.name
        self.__qualname__: str = source.name

    def __call__(self) -> FunctionalInstance:
        """Build one."""
        source = self.source
        if isinstance(source, FunctionalWorkflowDefinition):
            return FunctionalInstance(source.build())
        built = FunctionalWorkflow(
            typing.cast(Any, source).__wrapped__,
            name=source.name,
            description=source.description,
            checkpoint_storage=functional_storage(source),
        )
        return FunctionalInstance(built)


def is_functional(source: object) -> typing.TypeGuard[FunctionalWorkflow | FunctionalWorkflowDefinition]:
    """Tell whether `source` is a functional workflow, or the definition of one."""
    return isinstance(source, FunctionalWorkflow | FunctionalWorkflowDefinition)


def _parameters(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Return the function's parameters with their annotations, the `RunContext` left out."""
    hints = _hints(function)
    found = [
        (name, hints.get(name, found.annotation)) for name, found in inspect.signature(function).parameters.items()
    ]
    return [(name, annotation) for name, annotation in found if annotation is not RunContext and name != _CTX]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        return {}  # Annotations that cannot be evaluated here name no type that could be decoded either.


def _named_classes(function: Callable[..., Any]) -> Iterator[type[Any]]:
    """Yield the classes that a function's code names: `request_info` is given its types in there."""
    namespace = vars(sys.modules.get(function.__module__, object))
    codes = [function.__code__] if isinstance(function, types.FunctionType) else []
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        for name in code.co_names:
            found = namespace.get(name)
            if isinstance(found, type):
                yield found
