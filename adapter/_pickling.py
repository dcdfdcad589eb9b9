"""Checkpoint objects to bytes and back: raw pickle, always restricted on reading.

Raw pickle and not the framework's own encoding, because that is lossy (it turns `{1: "a"}` into `{"1": "a"}`) and, as
base64 inside JSON, defeats patches: an item appended to a conversation shifts everything behind it.
"""

from __future__ import annotations

import io
import pickle  # Written by our workers only, and read through the framework's restricted unpickler.
import types
import typing
from collections.abc import Callable
from typing import Any

from ._errors import PayloadError
from ._framework import RestrictedUnpickler, is_generic_annotation
from ._types import TypeCatalog, loaded_class, type_key

_PROTOCOL = 5
_JSON_SCALARS = (str, int, float, bool, type(None))


def dumps(value: Any, catalog: TypeCatalog) -> bytes:
    """Pickle `value`, refusing what could not be read again.

    Raises:
        PayloadError: Naming the class that is not declared and the line to add, or what cannot be pickled.
    """
    buffer = io.BytesIO()
    try:
        _CheckpointPickler(buffer, catalog).dump(value)
    except PayloadError:
        raise
    except Exception as error:  # Pickling runs the values' own code, which may raise anything.
        raise PayloadError(f"{type(value).__name__} cannot be stored: {error}") from error
    return buffer.getvalue()


def loads(data: bytes, catalog: TypeCatalog) -> Any:
    """Read what `dumps` wrote. Resolves only declared, registered and framework types.

    Raises:
        PayloadError: For bytes that are no such pickle, or that name a type that is not allowed.
    """
    try:
        return _CheckpointUnpickler(data, catalog).load()
    except Exception as error:  # Hostile bytes make the unpickler raise almost any type.
        raise PayloadError(f"Checkpoint data cannot be read: {error}") from error


class _CheckpointPickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, catalog: TypeCatalog) -> None:
        super().__init__(buffer, protocol=_PROTOCOL)
        self._catalog = catalog
        self._checked: set[type[Any]] = set()

    def reducer_override(self, value: Any) -> Any:
        """Store exceptions and parametrized types by name, check every other class."""
        if is_generic_annotation(value):
            return _restore_annotation, (_annotation_name(value), typing.get_args(value))
        if isinstance(value, type):
            self._check(value)
            return NotImplemented
        if isinstance(value, BaseException):
            args = list(value.args) if all(isinstance(arg, _JSON_SCALARS) for arg in value.args) else [str(value)]
            return _restore_exception, (type_key(type(value)), args)
        self._check(type(value))
        if getattr(value, "raw_representation", None) is not None and type(value).__module__.startswith(
            "agent_framework."
        ):
            return _without_raw_representation(value)
        return NotImplemented

    def _check(self, cls: type[Any]) -> None:
        if cls in self._checked:
            return
        if not self._catalog.is_allowed(cls) and cls is not types.FunctionType:
            raise PayloadError(
                f"{cls.__module__}.{cls.__qualname__} is stored in a checkpoint, but no executor declares it. Add to "
                f"the module that builds the workflow: "
                f"`agent_framework.register_checkpoint_type({cls.__qualname__})` (from {cls.__module__})."
            )
        self._checked.add(cls)


def _without_raw_representation(value: Any) -> tuple[Any, ...]:
    """Drop the provider's own object, as the framework's serialization does; it may be anything at all."""
    reduced: tuple[Any, ...] = value.__reduce_ex__(_PROTOCOL)
    state = reduced[2] if len(reduced) > 2 else None
    if isinstance(state, dict):
        state = {**state, "raw_representation": None}
    return (*reduced[:2], state, *reduced[3:])


class _CheckpointUnpickler(RestrictedUnpickler):  # type: ignore[misc, valid-type]
    def __init__(self, data: bytes, catalog: TypeCatalog) -> None:
        super().__init__(data, catalog.allowed)  # type: ignore[call-arg, arg-type]

    def find_class(self, module: str, name: str) -> Any:
        """Resolve our two helpers; leave every other name to the framework's rules."""
        if module == __name__ and name in _HELPERS:
            return _HELPERS[name]
        if (module, name) == ("builtins", "NoneType") or (module, name) == ("types", "NoneType"):
            return type(None)
        return super().find_class(module, name)


def _annotation_name(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return "union"
    if origin is typing.Literal:
        return "literal"
    if annotation is typing.Any:
        return "any"
    return type_key(origin) if isinstance(origin, type) else "any"


def _restore_annotation(name: str, args: tuple[Any, ...]) -> Any:
    if name == "union":
        return typing.Union[args]
    if name == "literal":
        return typing.Literal[args]
    origin = loaded_class(name) if isinstance(name, str) and name.count(":") == 1 else None
    if origin is None or not hasattr(origin, "__class_getitem__"):
        return typing.Any
    return types.GenericAlias(origin, args)


def _restore_exception(key: str, args: list[Any]) -> BaseException:
    """Rebuild an exception without running its constructor; an unknown class becomes RuntimeError."""
    cls = loaded_class(key) if isinstance(key, str) else None
    if cls is None or not issubclass(cls, Exception):
        return RuntimeError(*args)
    error: Exception = cls.__new__(cls)
    error.args = tuple(args)
    return error


_HELPERS: dict[str, Callable[..., Any]] = {
    "_restore_annotation": _restore_annotation,
    "_restore_exception": _restore_exception,
}


def new_exception(module: str, name: str, args: list[Any]) -> Exception | None:
    """Rebuild the exception an executor raised, if its class is loaded in this process; else None."""
    cls = loaded_class(f"{module}:{name}")
    if cls is None or not issubclass(cls, Exception):
        return None
    restored = _restore_exception(f"{module}:{name}", args)
    return restored if isinstance(restored, Exception) else None
