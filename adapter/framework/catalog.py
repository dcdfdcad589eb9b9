"""The types a workflow declares: what may be decoded from a checkpoint, and what JSON from outside is validated to."""

from __future__ import annotations

import builtins
import collections
import collections.abc
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from agent_framework import Executor, Workflow, WorkflowEvent, WorkflowExecutor
from pydantic import BaseModel

from ...adapter import errors as _errors
from ..errors import HostingError
from .functional import FunctionalInstance
from .in_doubt import InDoubt
from .internals import current_key, is_framework_data, is_framework_module, registered_type_keys, request_types
from .standard import STANDARD_CLASSES
from .static import ABSENT, MAIN, class_attribute, has_base, is_class, loaded_class, main_module, type_key

_Class = TypeVar("_Class")


def type_name(annotation: Any) -> str:
    """Return a readable name of a type or annotation, for messages and records."""
    return type_key(annotation) if isinstance(annotation, type) else str(annotation)


def readable_name(annotation: Any) -> str:
    """Return what a person calls a type: `int`, `my_workflow:Draft`, `list[str]`."""
    return "None" if annotation is type(None) else type_name(annotation).removeprefix("builtins:")


PLAIN_CLASSES: dict[str, type[Any]] = {
    type_key(cls): cls
    for cls in (
        *(object, bool, int, float, str, bytes, bytearray, complex, range, slice),
        *(list, tuple, dict, set, frozenset, type),
        *(collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque),
        *map(collections.abc.__dict__.get, collections.abc.__all__),
        *STANDARD_CLASSES,
    )
    if cls is not None
}
"""All standard classes that may be named in a checkpoint; the abstract ones only as a request or response type."""

_FACTORIES: tuple[type[Any], ...] = (
    *(list, dict, set, frozenset, tuple, str, int, float, bool, complex, bytes, bytearray),
    *(collections.OrderedDict, collections.Counter, collections.deque),
)


def runtime_class(annotation: Any) -> type[Any] | None:
    """Return the class an instance of `annotation` has: `list` for `list[str]`; None for unions and `Any`."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing.Literal):
        return None
    candidate = origin or annotation
    return candidate if isinstance(candidate, type) else None


def generic_origin(cls: type[Any]) -> type[Any]:
    """Return `Box` for the pydantic model `Box[int]`, a class that is not to be found by name; other classes as is."""
    origin: type[Any] | None = _generic_metadata(cls)["origin"]
    return cls if origin is None else origin


def generic_args(cls: type[Any]) -> tuple[Any, ...]:
    """Return `(int,)` for the pydantic model `Box[int]`."""
    return tuple(_generic_metadata(cls)["args"])


def _generic_metadata(cls: type[Any]) -> Any:
    found = class_attribute(cls, "__pydantic_generic_metadata__")
    return {"origin": None, "args": ()} if found is ABSENT else found


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
    and those types count as well, as an executor may put them into state or events without declaring them, the
    exceptions and classes of events that those modules name; and so do classes given to the framework's
    `register_checkpoint_type`, whenever they are registered.

    Args:
        workflow: The workflow, freshly built.

    Raises:
        HostingError: For a declared class that is local to a function: no other process could find it.
    """

    def __init__(self, workflow: Workflow) -> None:
        # Any executor may ask whether it is to run again.
        self._classes: dict[str, type[Any]] = {type_key(InDoubt): InDoubt}
        self._generics: dict[int, type[Any]] = {}
        self._errors: dict[str, type[Exception]] = {}
        self._events: dict[str, type[WorkflowEvent[Any]]] = {}
        self._modules: set[str] = set()
        self.annotations: list[Any] = []
        """Every annotation that the workflow declares, and every part of one."""
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
        if isinstance(workflow, FunctionalInstance):
            for owner, annotation in workflow.declared():
                self._add(annotation, owner, strict="<locals>" in getattr(annotation, "__qualname__", ""))
            self._modules |= workflow.modules
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
        key = type_key(cls)
        if generic_origin(cls) is not cls:
            return id(cls) in self._generics or key in registered_type_keys()
        return (
            self._classes.get(key, PLAIN_CLASSES.get(key)) is cls
            or is_framework_data(cls)
            or key in registered_type_keys()
        )

    def is_declared(self, cls: type[Any]) -> bool:
        """Tell whether the workflow itself, not the framework, declares or registers a class."""
        return self._classes.get(type_key(cls)) is cls or type_key(cls) in registered_type_keys()

    def resolve(self, key: str) -> type[Any] | None:
        """Return the class of a `module:qualname` key, if it may be part of a checkpoint; never imports anything."""
        key = current_key(key)
        known = self._classes.get(key, PLAIN_CLASSES.get(key)) or _of_script(self._classes, key)
        if known is not None:
            return known
        if key not in registered_type_keys() and not is_framework_module(key.partition(":")[0]):
            return None
        found = loaded_class(key)
        # A module also holds what it has imported from elsewhere: only what it defines itself counts.
        return found if found is not None and type_key(found) == key and self.is_allowed(found) else None

    def error_class(self, key: str) -> type[Exception] | None:
        """Return the class of a `module:qualname` key, if it is an exception that may be made again."""
        key = current_key(key)
        found = self._errors.get(key) or _of_script(self._errors, key)
        if found is None and key in registered_type_keys():
            loaded = loaded_class(key)
            found = loaded if loaded is not None and has_base(loaded, Exception) else None
        return known_error(key) if found is None else found

    def event_class(self, key: str) -> type[WorkflowEvent[Any]] | None:
        """Return the class of a `module:qualname` key, if it is one of the workflow's classes of events."""
        key = current_key(key)
        found = self._events.get(key) or _of_script(self._events, key)
        return known_event(key) if found is None else found

    def _add(self, annotation: Any, owner: str, *, strict: bool = True, field: bool = False) -> None:
        self.annotations.append(annotation)
        for argument in typing.get_args(annotation):
            self._add(argument, owner, strict=strict, field=field)
        cls = runtime_class(annotation)
        if cls is not None and generic_origin(cls) is not cls:
            self._generics[id(cls)] = cls
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
                f"Executor {owner!r} declares {cls.__qualname__!r}, a class local to a function, which other "
                "processes cannot find. Move the class to module level."
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
            if not isinstance(cls, type):
                continue
            if has_base(cls, Exception):
                self._errors[type_key(cls)] = cls
            elif has_base(cls, WorkflowEvent):
                self._events[type_key(cls)] = cls
            elif generic_origin(cls) is not cls:  # `IntBox = Box[int]`: the only way to name such a class.
                self._add(cls, module, strict=False)
            elif cls.__module__ == module and cls.__qualname__ == within + name:
                self._add(cls, module, strict=False)
                self._add_data_classes(vars(cls), module, f"{cls.__qualname__}.")


def _of_script(classes: Mapping[str, type[_Class]], key: str) -> type[_Class] | None:
    """Return a class of a script by its key: who runs `shop.py` knows as `shop` what others import as `samples.shop`.

    Only of one that runs here, or where the key is of who runs it: that is the file's name, which has no package.
    """
    module, _, name = key.partition(":")
    runs_here = classes.get(f"{main_module()}:{name}")
    if runs_here is not None and runs_here.__module__ == MAIN and module.endswith(f".{main_module()}"):
        return runs_here
    if "." in module:
        return None
    imported = [found for known, found in classes.items() if known.endswith(f".{key}")]
    return imported[0] if len(imported) == 1 else None


def may_be_factory(factory: Any, catalog: TypeCatalog) -> bool:
    """Tell whether a defaultdict may make instances of a class: later, but at the word of whoever wrote the data."""
    return is_class(factory) and (any(factory is known for known in _FACTORIES) or catalog.is_declared(factory))


def _is_data(cls: type[Any]) -> bool:
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel | enum.Enum | tuple)


def known_error(key: str) -> type[Exception] | None:
    """Return an exception of Python, the framework or this package by its key; never imports anything.

    Of the standard library those that say what they were made with, in contrast to what code of theirs makes of it.
    """
    key = current_key(key)
    module = key.partition(":")[0]
    if module == "builtins":
        return _BUILTIN_ERRORS.get(key)
    if key in _OUR_ERRORS:
        return _OUR_ERRORS[key]
    if not is_framework_module(module) and module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    found = loaded_class(key)
    if found is None or type_key(found) != key or not has_base(found, Exception):
        return None
    silent = isinstance(class_attribute(found, "__str__"), types.WrapperDescriptorType)
    return found if silent or is_framework_module(module) else None


def known_event(key: str) -> type[WorkflowEvent[Any]] | None:
    """Return a class of events of the framework by its key; never imports anything."""
    key = current_key(key)
    found = loaded_class(key) if is_framework_module(key.partition(":")[0]) else None
    return found if found is not None and type_key(found) == key and has_base(found, WorkflowEvent) else None


_BUILTIN_ERRORS: dict[str, type[Exception]] = {
    type_key(found): found
    for found in vars(builtins).values()
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, BaseExceptionGroup)
}
_OUR_ERRORS: dict[str, type[Exception]] = {
    type_key(found): found
    for found in vars(_errors).values()
    if isinstance(found, type) and issubclass(found, Exception)
}


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        return {}  # Annotations that cannot be evaluated here name no type that could be decoded either.
