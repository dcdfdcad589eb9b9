"""Checkpoint objects to bytes and back: raw pickle, always restricted on reading.

Raw pickle and not the framework's own encoding, because that is lossy (it turns `{1: "a"}` into `{"1": "a"}`) and, as
base64 inside JSON, defeats patches: an item appended to a conversation shifts everything behind it.
"""

from __future__ import annotations

import enum
import io
import pickle  # Written by our workers only, and read through our own restricted unpickler.
import types
import typing
import zoneinfo
from collections.abc import Callable
from typing import Any

from agent_framework import WorkflowMessage
from pydantic import BaseModel

from ..errors import PayloadError
from ..framework.catalog import TypeCatalog, generic_args, generic_origin, loaded_class, type_key
from ..framework.internals import is_framework_module, is_generic_annotation
from .unpickling import CheckpointUnpickler

_PROTOCOL = 5
_JSON_SCALARS = (str, int, float, bool, type(None))


class Nested:
    """A value to be pickled by itself, wherever it is part of something; it is read back as the value alone.

    A pickle refers to what it has already named by number, and the numbers depend on all that came before: the same
    conversation looks different in the message in flight, in the event that tells of it and in the next checkpoint, by
    a few bytes in each of its messages. By itself it is the same bytes everywhere, which a patch says in one reference.

    Args:
        value: The value.
        measured: Called with its size once it is pickled.
    """

    __slots__ = ("measured", "value")

    def __init__(self, value: Any, measured: Callable[[int], None] | None = None) -> None:
        self.value = value
        self.measured = measured


def dumps(value: Any, catalog: TypeCatalog) -> bytes:
    """Pickle `value`, refusing what could not be read again.

    Raises:
        PayloadError: Naming the class that is not declared and the line to add, or what cannot be pickled.
    """
    try:
        return _dumps(value, catalog, set())
    except PayloadError:
        raise
    except Exception as error:  # Pickling runs the values' own code, which may raise anything.
        raise PayloadError(f"{type(value).__name__} cannot be stored: {error}") from error


def _dumps(value: Any, catalog: TypeCatalog, checked: set[type[Any]]) -> bytes:
    buffer = io.BytesIO()
    _CheckpointPickler(buffer, catalog, checked).dump(value)
    return buffer.getvalue()


def loads(data: bytes, catalog: TypeCatalog) -> Any:
    """Read what `dumps` wrote. Resolves only declared, registered and framework types.

    Raises:
        PayloadError: For bytes that are no such pickle, or that name a type that is not allowed.
    """
    try:
        return _loads(data, catalog)
    except Exception as error:  # Hostile bytes make the unpickler raise almost any type.
        raise PayloadError(f"Checkpoint data cannot be read: {type(error).__name__}: {error}") from error


def _loads(data: bytes, catalog: TypeCatalog) -> Any:
    helpers = {**_HELPERS, _NESTED: lambda nested: _loads(nested, catalog)}
    return CheckpointUnpickler(data, catalog, helpers).load()


class _CheckpointPickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, catalog: TypeCatalog, checked: set[type[Any]]) -> None:
        super().__init__(buffer, protocol=_PROTOCOL)
        self._catalog = catalog
        self._checked = checked

    def reducer_override(self, value: Any) -> Any:
        """Store by name what pickle would call a function for, and check every other class."""
        if type(value) is Nested:
            return _restore_nested, (self._nested(value),)
        if value is ... or value is type(None) or is_generic_annotation(value):
            return _restore_annotation, _reduced_annotation(value)
        if isinstance(value, type):
            self._check(value)
            origin = generic_origin(value)
            if origin is not value:
                return _restore_annotation, (type_key(origin), generic_args(value))
            return NotImplemented
        if isinstance(value, _FUNCTION_TYPES):
            if value in _HELPERS.values():
                return NotImplemented
            raise PayloadError(
                f"Function {value.__module__}.{value.__qualname__} is part of a value, but a checkpoint holds data "
                "only. Keep a name in the state instead, and look the function up by it."
            )
        if isinstance(value, BaseException):
            text = str(value)
            return _restore_exception, (type_key(type(value)), exception_args(value) or [text], text)
        if isinstance(value, zoneinfo.ZoneInfo) and value.key:
            return _restore_zone, (value.key,)
        self._check(type(value))
        if isinstance(value, enum.Enum):
            by_name = type(value).__members__.get(value.name or "") is value
            return _restore_enum, (type(value), value.name if by_name else None, None if by_name else value.value)
        if is_framework_module(type(value).__module__):
            return self._reduced_framework_data(value)
        return NotImplemented

    def _nested(self, value: Nested) -> bytes:
        data = _dumps(value.value, self._catalog, self._checked)
        if value.measured is not None:
            value.measured(len(data))
        return data

    @staticmethod
    def _reduced_framework_data(value: Any) -> Any:
        if type(value) is WorkflowMessage and type(value.data) not in _JSON_SCALARS:
            reduced: Any = value.__reduce_ex__(_PROTOCOL)
            return (*reduced[:2], {**reduced[2], "data": Nested(value.data)})
        if getattr(value, "raw_representation", None) is not None:
            return _without_raw_representation(value)
        return NotImplemented

    def _check(self, cls: type[Any]) -> None:
        if cls in self._checked:
            return
        if not self._catalog.is_allowed(cls):
            raise PayloadError(_refusal(cls))
        self._checked.add(cls)


def _refusal(cls: type[Any]) -> str:
    name = f"{cls.__module__}.{cls.__qualname__}"
    if "<locals>" in cls.__qualname__:
        return f"{name} is local to a function, so no other process could find it. Move the class to module level."
    if loaded_class(type_key(cls)) is not cls:
        return f"{name} cannot be stored in a checkpoint: it is not data. Keep plain data in the state instead."
    return (
        f"{name} is stored in a checkpoint, but no executor declares it. Add to the module that builds the workflow: "
        f"`agent_framework.register_checkpoint_type({cls.__qualname__})` (from {cls.__module__})."
    )


def _without_raw_representation(value: Any) -> tuple[Any, ...]:
    """Drop the provider's own object, as the framework's serialization does; it may be anything at all."""
    reduced: tuple[Any, ...] = value.__reduce_ex__(_PROTOCOL)
    state = reduced[2] if len(reduced) > 2 else None
    if isinstance(state, tuple):  # With __slots__: the instance's dictionary and the slots.
        state = tuple(_emptied(part) for part in state)
    return (*reduced[:2], _emptied(state), *reduced[3:])


def _emptied(state: Any) -> Any:
    if isinstance(state, dict) and "raw_representation" in state:
        return {**state, "raw_representation": None}
    return state


def _reduced_annotation(annotation: Any) -> tuple[str, tuple[Any, ...] | None]:
    if annotation is ...:
        return "...", ()
    if annotation is type(None):
        return "none", ()
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return "union", typing.get_args(annotation)
    if origin is typing.Literal:
        return "literal", typing.get_args(annotation)
    if origin is typing.Annotated:
        return _reduced_annotation(annotation.__origin__) if typing.get_args(annotation.__origin__) else ("any", ())
    if not isinstance(origin, type):
        return "any", ()  # A type variable, a new type, an alias: nothing a value could be checked against.
    # The arguments of a callable are a list, which no alias takes back; nobody sends a callable anyway.
    args = typing.get_args(annotation)
    return type_key(origin), None if any(isinstance(arg, list) for arg in args) else args


# The names and arguments of the functions below are part of the stored format.


def _restore_annotation(name: str, args: tuple[Any, ...] | None) -> Any:
    constants: dict[str, Any] = {"...": ..., "none": type(None), "any": typing.Any}
    if name in constants:
        return constants[name]
    if name == "union":
        return typing.Union[args]  # noqa: UP007 - the members come in a tuple.
    if name == "literal":
        return typing.Literal[args]
    origin = loaded_class(name)
    if origin is None or not hasattr(origin, "__class_getitem__"):
        return typing.Any
    if issubclass(origin, BaseModel):
        return origin[args]  # type: ignore[index] # A model's subscript makes a model.
    return origin if args is None else types.GenericAlias(origin, args)


def _restore_enum(cls: type[enum.Enum], name: str | None, value: Any) -> enum.Enum:
    if not issubclass(cls, enum.Enum):
        raise TypeError(f"{cls!r} is no enumeration")
    return cls(value) if name is None else cls.__members__[name]


def _restore_exception(key: str, args: list[Any], text: str | None = None) -> BaseException:
    """Rebuild an exception without running a constructor of the user's.

    One whose class is not loaded, or which does not say `text` after all, becomes a RuntimeError that does.
    """
    cls = loaded_class(key)
    if cls is None or not issubclass(cls, Exception):
        return RuntimeError(*args)
    try:
        if cls.__module__ == "builtins":  # OSError and its like format their text from what the constructor sets.
            error: Exception = cls(*args)
        else:
            error = cls.__new__(cls)
            error.args = tuple(args)
        if text is None or str(error) == text:
            return error
    except Exception:  # noqa: S110 - an exception may need anything of its own to exist, or to say what it says.
        pass
    return RuntimeError(*args) if text is None else RuntimeError(text)


def _restore_zone(key: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(key)


def _restore_nested(nested: bytes) -> Any:
    raise NotImplementedError  # `loads` puts its own in place, which knows what may be part of a value.


_FUNCTION_TYPES = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_HELPERS: dict[str, Callable[..., Any]] = {
    f"agent_framework_temporal.adapter.checkpoints.pickling:{helper.__name__}": helper
    for helper in (_restore_annotation, _restore_enum, _restore_exception, _restore_nested, _restore_zone)
}
_NESTED = f"agent_framework_temporal.adapter.checkpoints.pickling:{_restore_nested.__name__}"


def exception_args(error: BaseException) -> list[Any] | None:
    """Return the arguments that rebuild an exception; None when they are not plain scalars."""
    args = error.args
    if type(error).__module__ == "builtins":
        args = error.__reduce__()[1]  # type: ignore[assignment] # OSError leaves the file name out of its args.
    return list(args) if all(isinstance(arg, _JSON_SCALARS) for arg in args) else None


def new_exception(module: str, name: str, args: list[Any], text: str | None = None) -> Exception | None:
    """Rebuild the exception an executor raised, if its class is loaded in this process and allows it; else None.

    Args:
        module: Module of its class.
        name: Qualified name of its class.
        args: Its arguments.
        text: What it said; an exception that would say something else is not rebuilt.
    """
    cls = loaded_class(f"{module}:{name}")
    if cls is None or not issubclass(cls, Exception):
        return None
    restored = _restore_exception(f"{module}:{name}", args, text)
    return restored if isinstance(restored, cls) else None
