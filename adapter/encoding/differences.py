"""Whether a value is the same as another in every type and part of it: to `==`, 1, 1.0 and True are equal."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import pathlib
import uuid
import zoneinfo
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import BaseModel

from ..framework.internals import is_framework_module

_RAW = "raw_representation"
"""Attribute of the framework's data that holds a provider's own object; its serialization drops it."""
_WHOLE = (datetime.tzinfo, enum.Enum, pathlib.PurePath, uuid.UUID, decimal.Decimal, fractions.Fraction)
"""What is compared as a whole: its attributes are its own business."""
_IDENTITY: Any = object.__eq__
_TUPLES = (list, tuple, collections.deque)


def difference(sent: Any, arrived: Any, *, numbers: bool = True, free: Collection[str] = ()) -> str | None:
    """Say where two values differ first.

    Args:
        sent: What was given.
        arrived: What was made of it.
        numbers: Whether a float in place of an integer of the same value is a difference.
        free: Names of attributes that may hold anything of the same type.

    Returns:
        The place and the types there, as `entries[0]: Warn would become Note`, never the values; None for the same.
    """
    return _Comparison(numbers, {f".{name}" for name in free}).first(sent, arrived, "")


class _Comparison:
    def __init__(self, numbers: bool, free: set[str]) -> None:
        self._numbers = numbers
        self._free = free
        self._met: set[tuple[int, int]] = set()

    def first(self, sent: Any, arrived: Any, place: str) -> str | None:
        if sent is arrived:
            return None
        kind = type(sent)
        if kind is not type(arrived):
            if not self._numbers and kind is int and type(arrived) is float and sent == arrived:
                return None
            return f"{_named(place)}{kind.__name__} would become {type(arrived).__name__}"
        pair = (id(sent), id(arrived))
        if pair in self._met:
            return None  # Part of itself, or met before.
        self._met.add(pair)
        if not self._is_alike(sent, arrived):
            what = "its keys" if isinstance(sent, dict) else kind.__name__
            return f"{_named(place)}{what} would become {'others' if isinstance(sent, dict) else 'another one'}"
        ours, theirs = dict(_parts(sent)), dict(_parts(arrived))
        for name in ours | theirs:
            if name not in theirs or name not in ours:
                return f"{_named(place + name)}it would be {'left out' if name in ours else 'added'}"
            if name in self._free and type(ours[name]) is type(theirs[name]):
                continue
            found = self.first(ours[name], theirs[name], place + name)
            if found is not None:
                return found
        return None

    def _is_alike(self, sent: Any, arrived: Any) -> bool:
        """Compare what two values of one type are beside their parts."""
        if isinstance(sent, enum.Enum):
            return bool(sent == arrived)
        if isinstance(sent, float):
            return repr(float(sent)) == repr(float(arrived))  # Not a number equals itself here, and 0.0 not -0.0.
        if isinstance(sent, decimal.Decimal):
            return str(sent) == str(arrived)  # 1.10 is not 1.1.
        if isinstance(sent, datetime.datetime | datetime.time):
            alike = bool(sent.replace(tzinfo=None) == arrived.replace(tzinfo=None))
            return alike and bool(sent.fold == arrived.fold)
        if isinstance(sent, zoneinfo.ZoneInfo):
            return bool(sent.key == arrived.key)
        if isinstance(sent, set | frozenset):
            return set(map(_hashed, sent)) == set(map(_hashed, arrived))
        if isinstance(sent, dict):
            alike = list(map(_hashed, sent)) == list(map(_hashed, arrived))
            factories = [getattr(value, "default_factory", None) for value in (sent, arrived)]
            return bool(alike and factories[0] is factories[1])
        if isinstance(sent, collections.deque):
            return len(sent) == len(arrived) and bool(sent.maxlen == arrived.maxlen)
        if isinstance(sent, list | tuple):
            return len(sent) == len(arrived)
        if isinstance(sent, BaseException):
            return bool(_hashed(sent.args) == _hashed(arrived.args))
        if getattr(type(sent), "__eq__", None) is _IDENTITY or any(attributes(sent)):
            return True  # It is what its parts are.
        return bool(sent == arrived)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a value, each under how it is reached from there."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r:.60}]", item
    elif isinstance(value, _TUPLES) and not hasattr(value, "_fields"):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, tuple):
        yield from ((f".{name}", item) for name, item in zip(value._fields, value, strict=False))  # type: ignore[attr-defined]
    elif isinstance(value, datetime.datetime | datetime.time):
        yield ".tzinfo", value.tzinfo
    framework = is_framework_module(type(value).__module__)
    for name, item in attributes(value):
        if not (framework and name == _RAW):
            yield f".{name}", item


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value holds as attributes, in its dictionary or slots; of a model what is extra and private too."""
    if isinstance(value, _WHOLE):
        return
    cached = _cached(value)
    yield from ((name, item) for name, item in getattr(value, "__dict__", {}).items() if name not in cached)
    if isinstance(value, BaseModel):
        yield from (value.__pydantic_extra__ or {}).items()
        yield from (value.__pydantic_private__ or {}).items()
        return
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def forget_cached(value: Any) -> None:
    """Take from a value what its cached properties have noted: they work it out again."""
    for name in _cached(value):
        del value.__dict__[name]


def _cached(value: Any) -> set[str]:
    held = getattr(value, "__dict__", {})
    return {
        name
        for cls in (type(value).__mro__ if held else ())
        for name, found in cls.__dict__.items()
        if isinstance(found, functools.cached_property) and name in held
    }


def _hashed(value: Any) -> Any:
    """Return something that is equal for a key of the same type and parts only."""
    if isinstance(value, tuple):
        return (type(value), *map(_hashed, value))
    if isinstance(value, frozenset):
        return (type(value), frozenset(map(_hashed, value)))
    return (type(value), str(value)) if isinstance(value, decimal.Decimal | float) else (type(value), value)


def _named(place: str) -> str:
    return f"`{place.removeprefix('.')}`: " if place else ""
