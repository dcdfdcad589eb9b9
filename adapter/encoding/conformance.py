"""Whether a typed value is one that its own classes would make: what somebody sends typed must not get past them.

A typed value is put together without running any code of its classes, see `_layouts.py`. Sent by anybody, it could hold
what the validators of a model refuse or put right, or what a dataclass computes. So each model and dataclass in it is
made once more, from its own fields and by its own class, and has to come out the same. That is also what JSON from
outside goes through.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import pathlib
import typing
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError

from ...workflows.value_limits import (
    MAX_DEPTH,
    MAX_DIGITS,
    NO_UNICODE,
    TOO_DEEP,
    TOO_LONG,
    clean_text,
)
from ..framework.catalog import TypeCatalog, members
from ..framework.internals import is_framework_data, is_framework_module, matches
from ..framework.standard import LEAVES, SCALARS
from ..framework.values import adapter_of
from .differences import attributes, difference, forget_cached

_LONGEST = 10**MAX_DIGITS
_SEQUENCES = frozenset({list, tuple, set, frozenset, collections.deque})
_MAPPINGS = frozenset({dict, collections.OrderedDict, collections.Counter, collections.defaultdict})
_LEAVES = frozenset({*LEAVES, bytearray})
_ADDITIONAL = ("additional_properties",)
_RAW = "raw_representation"


class UnfitError(Exception):
    """A value is none that its classes would make; the text says where and why, and never what it holds."""

    def __init__(self, place: str, reason: str) -> None:
        place = place.removeprefix(".")
        super().__init__(f"`{place}`: {reason}" if place else reason)


def check(value: Any, declared: tuple[Any, ...], catalog: TypeCatalog, *, arrived: bool = False) -> None:
    """Check a typed value and every part of it.

    Args:
        value: The value.
        declared: The types that are expected. One that is none of them is for the framework to refuse.
        catalog: The classes that it may be made of.
        arrived: Whether it has come from somebody: then what its cached properties have noted is taken from it.

    Raises:
        UnfitError: Naming the first part that its class would not make, or that is no data.
    """
    _Check(catalog, arrived).visit(value, "", 0)
    fitting = [member for annotation in declared for member in members(annotation) if matches(value, member)]
    problems = [_problem(value, member) for member in fitting]
    if problems and None not in problems:
        raise UnfitError("", str(problems[0]))


def _problem(value: Any, annotation: Any) -> str | None:
    """Say what pydantic finds wrong with a value for an annotation that the framework only looks at the outside of."""
    adapter = adapter_of(annotation)
    if adapter is None:
        return None
    try:
        made = _validated(adapter, value)
    except ValidationError as error:
        return _first_error(error)[1]
    except Exception as error:  # Validators are the type's own code.
        return type(error).__name__
    return difference(value, made, numbers=False)


class _Check:
    """Goes through a value."""

    def __init__(self, catalog: TypeCatalog, arrived: bool) -> None:
        self._catalog = catalog
        self._arrived = arrived
        self._met: dict[int, Any] = {}

    def visit(self, value: Any, place: str, depth: int) -> None:
        kind = type(value)
        if kind in SCALARS:
            _check_scalar(value, place)
            return
        if id(value) in self._met:
            return
        self._met[id(value)] = value  # Kept, as its identity is.
        if depth > MAX_DEPTH:
            raise UnfitError(place, TOO_DEEP)
        if kind in _LEAVES or isinstance(value, enum.Enum | datetime.tzinfo | pathlib.PurePath):
            return
        if kind in (datetime.datetime, datetime.time):
            return
        if self._arrived:
            forget_cached(value)
        for name, part in _parts(value):
            self.visit(part, place + name, depth + 1)
        if kind in _SEQUENCES or kind in _MAPPINGS:
            return
        self._check_made(value, place)

    def _check_made(self, value: Any, place: str) -> None:
        maker, name = _maker(value), type(value).__name__
        if maker is None:
            raise UnfitError(place, f"{name} is not a model, a dataclass or plain data")
        if not self._catalog.is_allowed(type(value)):
            raise UnfitError(
                place, f"no executor declares {name}, and it is not registered with `register_checkpoint_type`"
            )
        try:
            made = maker(value)
        except ValidationError as error:
            where, reason = _first_error(error)
            raise UnfitError(place + where, f"{name} does not accept it ({reason})") from error
        except UnfitError as error:
            raise UnfitError(place, str(error)) from error
        except Exception as error:  # Validators and constructors are the type's own code.
            raise UnfitError(place, f"{name} does not accept its own fields ({type(error).__name__})") from error
        # What the framework's data has beside its own fields is anything at all, and its `to_dict` makes it JSON.
        free = _ADDITIONAL if is_framework_data(type(value)) else ()
        found = difference(value, made, numbers=False, free=free)
        if found is not None:
            where, _, reason = found.rpartition(": ")
            raise UnfitError(
                place + "." * bool(where) + where.strip("`"),
                f"{name}, rebuilt from its fields, differs here ({reason})",
            )


def _check_scalar(value: Any, place: str) -> None:
    if type(value) is int and not -_LONGEST < value < _LONGEST:
        raise UnfitError(place, TOO_LONG)
    if type(value) is str and value != clean_text(value):
        raise UnfitError(place, NO_UNICODE)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield " key", key
            yield f"[{key!r:.60}]", item
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from ((f".{name}", item) for name, item in zip(value._fields, value, strict=False))
    elif isinstance(value, list | tuple | set | frozenset | collections.deque):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    framework = is_framework_module(type(value).__module__)
    for name, item in attributes(value):
        if not (framework and name == _RAW):
            yield f".{name}", item


def _maker(value: Any) -> Callable[[Any], Any] | None:
    """Return what makes a value of its class once more; None for what is no data."""
    cls = type(value)
    if isinstance(value, BaseModel):
        return _model
    if dataclasses.is_dataclass(value):
        return _dataclass
    if isinstance(value, tuple) and hasattr(cls, "_fields"):
        return _named_tuple
    if isinstance(value, str | bytes | int | float | datetime.date | datetime.timedelta) and not any(attributes(value)):
        return lambda given: given  # A builtin value of a class that the workflow declares.
    if is_framework_data(cls) and hasattr(cls, "from_dict"):
        return lambda given: cls.from_dict(given.to_dict())
    return None


def _model(value: BaseModel) -> Any:
    cls = type(value)
    adapter = adapter_of(cls)
    if adapter is None:
        raise UnfitError("", f"pydantic has no validator for {cls.__name__}")
    if isinstance(value, RootModel):
        return _validated(adapter, value.root)
    given = {name: value.__dict__[name] for name in cls.model_fields if name in value.__dict__}
    return _validated(adapter, {**given, **(value.__pydantic_extra__ or {})})


def _dataclass(value: Any) -> Any:
    cls = type(value)
    fields = dataclasses.fields(value)
    given = {field.name: getattr(value, field.name) for field in fields if field.init}
    adapter = adapter_of(cls)
    if adapter is not None:
        return _validated(adapter, given)
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError, AttributeError):
        hints = {}  # Annotations that cannot be evaluated here.
    for field in fields:
        if not matches(getattr(value, field.name), hints.get(field.name, Any)):
            raise UnfitError(field.name, f"{type(getattr(value, field.name)).__name__} is not what it declares")
    return cls(**given)


def _named_tuple(value: Any) -> Any:
    adapter = adapter_of(type(value))
    return value if adapter is None else _validated(adapter, tuple(value))


def _validated(adapter: TypeAdapter[Any], given: Any) -> Any:
    """Validate Python data by the names of its fields; leniently, as whatever that changes is found afterwards."""
    return adapter.validate_python(given, by_name=True, by_alias=False)


def _first_error(error: ValidationError) -> tuple[str, str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
    return place, found["msg"]
