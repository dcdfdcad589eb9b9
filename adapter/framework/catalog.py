"""The types a workflow declares: what may be decoded from a checkpoint, and what JSON from outside is validated to."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import sys
import types
import typing
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from agent_framework import Executor, Workflow, WorkflowExecutor
from pydantic import BaseModel
from pydantic_core import TzInfo

from ..errors import HostingError
from .internals import is_framework_data, is_framework_module, registered_type_keys, request_types


def type_key(cls: type[Any]) -> str:
    """Return `module:qualname`, the name of a class in checkpoints and on the wire."""
    return f"{cls.__module__}:{cls.__qualname__}"


def type_name(annotation: Any) -> str:
    """Return a readable name of a type or annotation, for messages and records."""
    return type_key(annotation) if isinstance(annotation, type) else str(annotation)


CALLABLE_CLASSES: dict[str, type[Any]] = {
    type_key(cls): cls
    for cls in (
        complex,
        range,
        slice,
        collections.Counter,
        collections.OrderedDict,
        collections.defaultdict,
        collections.deque,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        decimal.Decimal,
        fractions.Fraction,
        uuid.UUID,
        TzInfo,
    )
}
"""Standard value classes that pickle restores by calling them; each only keeps its arguments. `TzInfo` is what pydantic
puts into every datetime it reads from JSON."""
PLAIN_CLASSES: dict[str, type[Any]] = {
    **CALLABLE_CLASSES,
    **{
        type_key(cls): cls
        for cls in (object, bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, type)
    },
    **{type_key(cls): cls for cls in map(collections.abc.__dict__.get, collections.abc.__all__) if cls is not None},
}
"""All standard classes that may be named in a checkpoint, most of them only as a declared request or response type."""


def runtime_class(annotation: Any) -> type[Any] | None:
    """Return the class an instance of `annotation` has: `list` for `list[str]`; None for unions and `Any`."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing.Literal):
        return None
    candidate = origin or annotation
    return candidate if isinstance(candidate, type) else None


def generic_origin(cls: type[Any]) -> type[Any]:
    """Return `Box` for the pydantic model `Box[int]`, a class that is not to be found by name; other classes as is."""
    return getattr(cls, "__pydantic_generic_metadata__", _NO_METADATA)["origin"] or cls


def generic_args(cls: type[Any]) -> tuple[Any, ...]:
    """Return `(int,)` for the pydantic model `Box[int]`."""
    return tuple(getattr(cls, "__pydantic_generic_metadata__", _NO_METADATA)["args"])


_NO_METADATA: dict[str, Any] = {"origin": None, "args": ()}


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

    Taken from the input, output, request and response types of its executors (sub-workflows included), the response
    formats of its agents, the fields of those types, and the values in the executors' checkpoint state when it is
    built. Data classes (dataclasses, pydantic models, enums, named tuples) of the modules that define its executors
    and those types count as well, as an executor may put them into state or events without declaring them; and so do
    classes given to the framework's `register_checkpoint_type`, whenever they are registered.

    Args:
        workflow: The workflow, freshly built.

    Raises:
        HostingError: For a declared class that is local to a function: no other process could find it.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._classes: dict[str, type[Any]] = {}
        self._modules: set[str] = set()
        self.input_types: tuple[Any, ...] = tuple(workflow.input_types)
        for executor in executors_of(workflow):
            for annotation in (*executor.input_types, *executor.output_types, *executor.workflow_output_types):
                self._add(annotation, executor.id)
            for pair in request_types(executor):
                for annotation in pair:
                    self._add(annotation, executor.id)
            options = getattr(getattr(executor, "agent", None), "default_options", None)
            if isinstance(options, Mapping):
                self._add(options.get("response_format"), executor.id)
            # Types of state are often declared only as the executor's own attributes.
            for hint in _hints(type(executor)).values():
                self._add(hint, executor.id, strict=False)
            self._modules.add(type(executor).__module__)
        for module in [module for module in self._modules if not is_framework_module(module)]:
            self._add_data_classes(vars(sys.modules.get(module, object)), module)

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

    def is_allowed(self, cls: type[Any]) -> bool:
        """Tell whether an instance of `cls` may be part of a checkpoint."""
        cls = generic_origin(cls)
        key = type_key(cls)
        return (
            self._classes.get(key, PLAIN_CLASSES.get(key)) is cls
            or is_framework_data(cls)
            or key in registered_type_keys()
        )

    def resolve(self, key: str) -> type[Any] | None:
        """Return the class of a `module:qualname` key, if it may be part of a checkpoint; never imports anything."""
        known = self._classes.get(key) or PLAIN_CLASSES.get(key)
        if known is not None:
            return known
        if key not in registered_type_keys() and not is_framework_module(key.partition(":")[0]):
            return None
        found = loaded_class(key)
        # A module also holds what it has imported from elsewhere: only what it defines itself counts.
        return found if found is not None and type_key(found) == key and self.is_allowed(found) else None

    def _add(self, annotation: Any, owner: str, *, strict: bool = True, field: bool = False) -> None:
        for argument in typing.get_args(annotation):
            self._add(argument, owner, strict=strict, field=field)
        cls = runtime_class(annotation)
        if cls is not None and generic_origin(cls) is not cls:
            for argument in (generic_origin(cls), *generic_args(cls)):
                self._add(argument, owner, strict=strict, field=field)
            return
        known = cls is None or type_key(cls) in self._classes or type_key(cls) in PLAIN_CLASSES
        if cls is None or known or is_framework_data(cls):
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
        if not (strict or field or _is_data(cls)):
            return  # An attribute such as a client or a lock, of an executor or in its state.
        self._classes[type_key(cls)] = cls
        if _is_data(cls):
            self._modules.add(cls.__module__)
        for hint in _hints(cls).values() if _is_data(cls) else ():
            self._add(hint, owner, strict=False, field=True)

    def _add_data_classes(self, namespace: Mapping[str, Any], module: str, within: str = "") -> None:
        for name, cls in list(namespace.items()):
            if isinstance(cls, type) and cls.__module__ == module and cls.__qualname__ == within + name:
                self._add(cls, module, strict=False)
                self._add_data_classes(vars(cls), module, f"{cls.__qualname__}.")


def _is_data(cls: type[Any]) -> bool:
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel | enum.Enum | tuple)


def loaded_class(key: str) -> type[Any] | None:
    """Return the class named `module:qualname` from the modules this process has already imported.

    Looks into namespaces and not through attributes: a module's `__getattr__` would import.
    """
    module, _, qualname = key.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) else None


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        return {}  # Annotations that cannot be evaluated here name no type that could be decoded either.
