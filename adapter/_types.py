"""The types a workflow declares: what may be decoded from a checkpoint, and what JSON from outside is validated to."""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from agent_framework import Executor, Workflow, WorkflowExecutor
from pydantic import BaseModel

from ._errors import HostingError
from ._framework import is_framework_safe, registered_type_keys, request_types


def type_key(cls: type[Any]) -> str:
    """Return `module:qualname`, the name of a class in checkpoints and on the wire."""
    return f"{cls.__module__}:{cls.__qualname__}"


def type_name(annotation: Any) -> str:
    """Return a readable name of a type or annotation, for messages and records."""
    return type_key(annotation) if isinstance(annotation, type) else str(annotation)


def runtime_class(annotation: Any) -> type[Any] | None:
    """Return the class an instance of `annotation` has: `list` for `list[str]`; None for unions and `Any`."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing.Literal):
        return None
    candidate = origin or annotation
    return candidate if isinstance(candidate, type) else None


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the annotation alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def executors_of(workflow: Workflow) -> Iterator[Executor]:
    """Yield the executors of a workflow and of its sub-workflows."""
    for executor in workflow.executors.values():
        yield executor
        if isinstance(executor, WorkflowExecutor):
            yield from executors_of(executor.workflow)


class TypeCatalog:
    """Every class reachable from what a workflow declares.

    Taken from the input, output, request and response types of its executors (sub-workflows included), the fields of
    those types, and the values in the executors' checkpoint state when the workflow is built. Classes given to the
    framework's `register_checkpoint_type` count as well, whenever they are registered.

    Args:
        workflow: The workflow, freshly built.

    Raises:
        HostingError: For a declared class that is local to a function: no other process could find it.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._classes: dict[str, type[Any]] = {}
        self.input_types: tuple[Any, ...] = tuple(workflow.input_types)
        for executor in executors_of(workflow):
            for annotation in (*executor.input_types, *executor.output_types, *executor.workflow_output_types):
                self._add(annotation, executor.id)
            for pair in request_types(executor):
                for annotation in pair:
                    self._add(annotation, executor.id)
            # Types of state are often declared only as the executor's own attributes.
            for hint in _hints(type(executor)).values():
                self._add(hint, executor.id, strict=False)

    def add_values(self, value: Any, owner: str) -> None:
        """Add the classes of a state value found when the workflow is built, and of what it contains."""
        if isinstance(value, dict):
            for item in (*value.keys(), *value.values()):
                self.add_values(item, owner)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                self.add_values(item, owner)
        elif value is not None:
            self._add(type(value), owner, strict=False)

    @property
    def allowed(self) -> frozenset[str]:
        """Keys of all classes that may be decoded, besides those the framework always allows."""
        return frozenset(self._classes) | registered_type_keys()

    def is_allowed(self, cls: type[Any]) -> bool:
        """Tell whether an instance of `cls` may be part of a checkpoint."""
        key = type_key(cls)
        return key in self._classes or is_framework_safe(key) or key in registered_type_keys()

    def resolve(self, key: str) -> type[Any] | None:
        """Return the class of a `module:qualname` key if it is declared or registered; never imports anything."""
        if key in self._classes:
            return self._classes[key]
        if key in registered_type_keys() or is_framework_safe(key):
            return loaded_class(key)
        return None

    def _add(self, annotation: Any, owner: str, *, strict: bool = True) -> None:
        for argument in typing.get_args(annotation):
            self._add(argument, owner, strict=strict)
        cls = runtime_class(annotation)
        if cls is None or type_key(cls) in self._classes or is_framework_safe(type_key(cls)):
            return
        if "<locals>" in cls.__qualname__:
            if not strict:
                return
            raise HostingError(
                f"Executor {owner!r} declares {cls.__qualname__!r}, a class local to a function: another process could "
                "not find it. Move the class to module level."
            )
        if loaded_class(type_key(cls)) is not cls:
            return  # TypeVars' bounds, proxies and the like: nothing that could be found by name.
        if not (dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel | enum.Enum)) and not strict:
            return
        self._classes[type_key(cls)] = cls
        for hint in _hints(cls).values():
            self._add(hint, owner, strict=False)


def loaded_class(key: str) -> type[Any] | None:
    """Return the class named `module:qualname` from the modules this process has already imported."""
    module, _, qualname = key.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        return {}  # Annotations that cannot be evaluated here name no type that could be decoded either.
