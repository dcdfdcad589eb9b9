"""How an instance is taken apart and put together without running any code of its class.

An instance is made by the `__new__` of the builtin type its class derives from, mostly `object`, and filled through the
descriptors of its dictionary and slots. No constructor, `__setstate__`, `__reduce__`, `__setattr__`, property or other
descriptor of the class has a say, nor a method of its metaclass. A class whose instances cannot be had that way is
refused when one is to be written.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ..errors import PayloadError
from ..framework.catalog import PLAIN_CLASSES, generic_origin
from ..framework.internals import drops_raw_only, is_framework_module
from ..framework.standard import LEAVES, SCALARS
from ..framework.static import (
    ABSENT,
    class_attribute,
    has_base,
    is_class,
    loaded_class,
    mro,
    namespace,
    type_key,
)

_RAW = "raw_representation"
"""Attribute of the framework's data that holds a provider's own object; its serialization drops it."""
_METHODS = frozenset(
    map(id, (types.FunctionType, classmethod, staticmethod, types.BuiltinFunctionType, types.MethodDescriptorType))
)
"""Identities of what a class's methods are."""
_PYDANTIC: dict[str, tuple[type[Any], ...]] = {
    "__pydantic_fields_set__": (set,),
    "__pydantic_extra__": (dict, type(None)),
    "__pydantic_private__": (dict, type(None)),
}
"""What pydantic's own code, some of it in Rust, expects of what it notes of a model."""
_ONLY_ITS_OWN_CODE = "only its own code can make an instance"
_MAX_KEY_DEPTH = 40


@dataclass(frozen=True, slots=True)
class _Base:
    """A builtin type that classes derive from."""

    new: Callable[..., Any]
    """Takes the class, and the content where the type is immutable."""
    content: Callable[[Any], Any] | None = None
    """Returns what an instance contains, as the builtin type; None where there are only attributes."""
    fill: Callable[[Any, Any], None] | None = None
    """Puts the content into a new instance, where the type is mutable."""
    sample: Any = ABSENT


def _fill_ordered(instance: Any, content: Any) -> None:
    for key, value in content.items():
        collections.OrderedDict.__setitem__(instance, key, value)


def _fill_default(instance: Any, content: Any) -> None:
    dict.update(instance, content)
    _FACTORY.__set__(instance, content.default_factory)


def _same_date(value: datetime.date) -> datetime.date:
    return datetime.date.fromordinal(datetime.date.toordinal(value))


def _same_datetime(value: datetime.datetime) -> datetime.datetime:
    return datetime.datetime.combine(_same_date(value), _same_time(datetime.datetime.timetz(value)))


def _same_time(value: datetime.time) -> datetime.time:
    parts = [_TIME[name].__get__(value) for name in ("hour", "minute", "second", "microsecond", "tzinfo", "fold")]
    return datetime.time(*parts[:5], fold=parts[5])


def _same_timedelta(value: datetime.timedelta) -> datetime.timedelta:
    return datetime.timedelta(*(_DELTA[name].__get__(value) for name in ("days", "seconds", "microseconds")))


def _new_datetime(cls: type[Any], value: datetime.datetime) -> Any:
    parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return datetime.datetime.__new__(cls, *parts, value.tzinfo, fold=value.fold)


def _new_time(cls: type[Any], value: datetime.time) -> Any:
    parts = (value.hour, value.minute, value.second, value.microsecond, value.tzinfo)
    return datetime.time.__new__(cls, *parts, fold=value.fold)


_FACTORY: Any = collections.defaultdict.__dict__["default_factory"]
_TIME, _DELTA = datetime.time.__dict__, datetime.timedelta.__dict__
_BASES: dict[type[Any], _Base] = {
    collections.OrderedDict: _Base(
        collections.OrderedDict.__new__, lambda value: collections.OrderedDict(dict.items(value)), _fill_ordered
    ),
    collections.defaultdict: _Base(
        collections.defaultdict.__new__,
        lambda value: collections.defaultdict(_FACTORY.__get__(value), dict.items(value)),
        _fill_default,
    ),
    collections.deque: _Base(
        collections.deque.__new__,
        lambda value: collections.deque(
            collections.deque.__iter__(value), collections.deque.__dict__["maxlen"].__get__(value)
        ),
        lambda instance, content: collections.deque.__init__(instance, content, content.maxlen),
    ),
    dict: _Base(dict.__new__, lambda value: dict(dict.items(value)), dict.update),
    list: _Base(list.__new__, lambda value: [*list.__iter__(value)], list.extend),
    set: _Base(set.__new__, lambda value: {*set.__iter__(value)}, set.update),
    bytearray: _Base(bytearray.__new__, lambda value: bytearray(memoryview(value)), bytearray.extend),
    types.SimpleNamespace: _Base(types.SimpleNamespace.__new__),
    tuple: _Base(tuple.__new__, lambda value: (*tuple.__iter__(value),), sample=()),
    frozenset: _Base(frozenset.__new__, lambda value: frozenset([*frozenset.__iter__(value)]), sample=frozenset()),
    str: _Base(str.__new__, str.__str__, sample=""),
    bytes: _Base(bytes.__new__, lambda value: memoryview(value).tobytes(), sample=b""),
    int: _Base(int.__new__, int.__int__, sample=0),
    float: _Base(float.__new__, float.__float__, sample=0.0),
    complex: _Base(complex.__new__, complex.__pos__, sample=0j),
    decimal.Decimal: _Base(decimal.Decimal.__new__, decimal.Decimal, sample=decimal.Decimal()),
    datetime.datetime: _Base(_new_datetime, _same_datetime, sample=datetime.datetime.min),
    datetime.date: _Base(
        lambda cls, value: datetime.date.__new__(cls, value.year, value.month, value.day),
        _same_date,
        sample=datetime.date.min,
    ),
    datetime.time: _Base(_new_time, _same_time, sample=datetime.time.min),
    datetime.timedelta: _Base(
        lambda cls, value: datetime.timedelta.__new__(cls, value.days, value.seconds, value.microseconds),
        _same_timedelta,
        sample=datetime.timedelta(),
    ),
    object: _Base(object.__new__),
}
_BASE_OF = {id(cls): base for cls, base in _BASES.items()}
"""By identity: a metaclass may have a hash of its own."""


class Layout:
    """What instances of a class consist of.

    Args:
        cls: The class.
    """

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.key: str = type_key(cls)
        self.base_type: type = next(owner for owner in mro(cls) if id(owner) in _BASE_OF)
        self._base = _BASE_OF[id(self.base_type)]
        self._dictionary: Any = class_attribute(cls, "__dict__")
        if self._dictionary is ABSENT:
            self._dictionary = None
        self._slots: dict[str, Any] = {
            name: descriptor
            for owner in reversed(mro(cls))
            if id(owner) not in _BASE_OF
            for name, descriptor in namespace(owner).items()
            if type(descriptor) is types.MemberDescriptorType
        }
        self.refusal: str | None = self._refusal()
        """Why an instance cannot be stored, and what to do; None if it can."""
        self.by_identity: bool = _is(cls, "__hash__", object) and _is(cls, "__eq__", object)
        """Whether instances are compared by what they are, not by what they hold."""
        self._state, self._sets_state = _own(cls, "__getstate__"), _own(cls, "__setstate__")
        self.chooses: bool = self._state is not None
        """Whether the class chooses by its own `__getstate__` what is stored of an instance."""
        self._of_framework = is_framework_module(getattr(self._state, "__module__", cls.__module__))
        self.has_content: bool = self._base.content is not None
        """Whether an instance contains something beside its attributes."""
        self.mutable: bool = not self.has_content or self._base.fill is not None
        """Whether an instance can be made before what it contains."""

    def content(self, value: Any) -> Any:
        """Return what an instance contains beside its attributes, as the builtin type."""
        if self._base.content is None:
            raise ValueError(f"{self.key} has attributes only")
        return self._base.content(value)

    def new(self) -> Any:
        """Make an instance of a class that is filled later."""
        return self._base.new(self.cls)

    def new_of(self, content: Any) -> Any:
        """Make an instance of an immutable type."""
        if type(content) is not self.base_type:
            raise ValueError(f"{self.key} does not hold a {type(content).__name__}")
        return self._base.new(self.cls, content)

    def fill_content(self, instance: Any, content: Any) -> None:
        """Put its content into an instance of a mutable type."""
        if self._base.fill is None or type(content) is not self.base_type:
            raise ValueError(f"{self.key} does not hold a {type(content).__name__}")
        self._base.fill(instance, content)

    def fill(self, instance: Any, attributes: dict[str, Any]) -> None:
        """Set the attributes of an instance.

        Raises:
            ValueError: When it cannot have one of them.
        """
        if not self._slots:
            if self._dictionary is not None:
                self._dictionary.__get__(instance).update(attributes)
            elif attributes:
                raise ValueError(f"{self.key} has no attribute {next(iter(attributes))!r}")
            return
        dictionary = self._dictionary.__get__(instance) if self._dictionary is not None else None
        for name, value in attributes.items():
            slot = self._slots.get(name)
            if slot is not None:
                if type(value) not in _PYDANTIC.get(name, (type(value),)):
                    raise ValueError(f"{name} is not a {type(value).__name__}")
                slot.__set__(instance, value)
            elif dictionary is not None:
                dictionary[name] = value
            else:
                raise ValueError(f"{self.key} has no attribute {name!r}")

    def attributes(self, value: Any) -> dict[str, Any]:
        """Return the attributes of an instance, to be read only.

        Raises:
            PayloadError: When some cannot be stored, or its class says that it needs more than them.
        """
        found: dict[str, Any] = self._dictionary.__get__(value) if self._dictionary is not None else {}
        if self._slots:
            found = {**found, **self._slotted(value, found)}
        if self._state is not None and not drops_raw_only(self._state, found):
            return self._chosen(value, found)
        if self._of_framework and found.get(_RAW) is not None:
            found = {**found, _RAW: None}  # As the framework's own serialization does: it may be anything at all.
        return found

    def held(self, value: Any) -> dict[str, Any]:
        """Return the attributes of an instance, but for what pydantic notes about them."""
        found: dict[str, Any] = self._dictionary.__get__(value) if self._dictionary is not None else {}
        if not has_base(self.cls, BaseModel):
            found = {**found, **self._slotted(value, found)}
        return found

    def shadowing(self, names: Iterable[str]) -> list[str]:
        """Return those of an instance's attributes that a caller of its class's methods would meet instead of them."""
        return [
            name for name in names if name not in self._slots and id(type(class_attribute(self.cls, name))) in _METHODS
        ]

    def _slotted(self, value: Any, others: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, slot in self._slots.items():
            if name in others:
                raise PayloadError(f"{self.key} has an attribute and a slot named {name!r}. Rename one of them.")
            try:
                found[name] = slot.__get__(value)
            except AttributeError:
                continue  # A slot that nothing was put into.
        private = found.get("__pydantic_private__")
        if type(private) is dict and PydanticUndefined in private.values():
            known = {name: item for name, item in private.items() if item is not PydanticUndefined}
            found["__pydantic_private__"] = known
        return found

    def _chosen(self, value: Any, found: dict[str, Any]) -> dict[str, Any]:
        """Return what the class's own `__getstate__` keeps of the attributes: it may leave out what is derived."""
        state = value.__getstate__()
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state,)
        kept: dict[str, Any] = {}
        for part in parts:
            if part is not None and not (isinstance(part, dict) and all(type(name) is str for name in part)):
                raise PayloadError(
                    f"{self.key} stores something other than its attributes through its own __getstate__, but readers "
                    "do not run its __setstate__. Keep plain data in the state and build the object from it."
                )
            kept |= part or {}
        if self._of_framework:
            return {**dict.fromkeys(found), **kept}
        same = kept.keys() == found.keys() and all(kept[name] is found[name] for name in kept)
        if not same and self._sets_state is not None:
            raise PayloadError(
                f"{self.key} changes its attributes through its own __getstate__ and __setstate__, but readers do not "
                "run __setstate__. Keep plain data in the state and build the object from it."
            )
        return kept

    def _refusal(self) -> str | None:
        if PLAIN_CLASSES.get(self.key) is self.cls and self.key not in _WITH_ATTRIBUTES:
            return "it is not data"
        if class_attribute(self.cls, "__del__") is not ABSENT:
            return "its __del__ would run when it is read"
        plain = (types.GetSetDescriptorType, types.MemberDescriptorType)
        if self._dictionary is not None and not any(type(self._dictionary) is kind for kind in plain):
            return "it has a __dict__ of its own"
        try:
            self._base.new(self.cls, *([] if self._base.sample is ABSENT else [self._base.sample]))
        except TypeError:
            return _ONLY_ITS_OWN_CODE
        return None


_WITH_ATTRIBUTES = frozenset({type_key(collections.OrderedDict), type_key(collections.Counter)})
"""Standard classes whose instances may have attributes of their own."""


def layout_of(cls: type[Any]) -> Layout:
    """Return the layout of a class."""
    found = _LAYOUTS.get(id(cls))
    if found is None:
        found = _LAYOUTS[id(cls)] = Layout(cls)
    return found


_LAYOUTS: dict[int, Layout] = {}
"""By the class's identity; a layout keeps its class, so that no identity is used twice."""


def refusal_of(cls: type[Any]) -> str:
    """Say why instances of a class that the catalog does not know cannot be stored, and what to do."""
    name = type_key(cls).replace(":", ".")
    short = type_key(cls).partition(":")[2]
    if "<locals>" in short:
        return f"{name} is local to a function, so other processes cannot find it. Move the class to module level."
    if generic_origin(cls) is not cls:
        return (
            f"{name} is stored in a checkpoint, but no executor declares it. In the module that builds the workflow, "
            f"give it a name, for example `Stored = {short}`, or use it in an annotation."
        )
    # A class that is registered is still refused where only its own code can make an instance, as that of a lock.
    if loaded_class(type_key(cls)) is not cls or layout_of(cls).refusal == _ONLY_ITS_OWN_CODE:
        return f"{name} cannot be stored in a checkpoint: it is not data. Keep plain data in the state instead."
    return (
        f"{name} is stored in a checkpoint, but no executor declares it. Add to the module that builds the workflow: "
        f"`agent_framework.register_checkpoint_type({short})` (from {type_key(cls).partition(':')[0]})."
    )


def check_key(value: Any) -> None:
    """Refuse a dictionary's key, or a member of a set, whose hash or comparison would run code of its class.

    Raises:
        PayloadError: Saying what to use instead.
    """
    _check_key(value, 0)


def _check_key(value: Any, depth: int) -> None:
    cls = type(value)
    if id(cls) in _PLAIN_KEYS:
        return
    if depth > _MAX_KEY_DEPTH:
        raise PayloadError("A key of a dictionary or a member of a set is nested too deeply.")
    for item in _compared(value, cls):
        _check_key(item, depth + 1)


def _compared(value: Any, cls: type[Any]) -> Iterable[Any]:
    """Return what the hash of a value is made of."""
    if cls is tuple or cls is frozenset:
        found: Iterable[Any] = value
        return found
    if cls is datetime.datetime or cls is datetime.time:
        return (value.tzinfo,)
    if has_base(cls, enum.Enum):
        plain = _is(cls, "__hash__", enum.Enum, *_HASHED) and _is(cls, "__eq__", object, *_HASHED)
    elif is_class(value):
        plain = _is(cls, "__hash__", type, object) and _is(cls, "__eq__", type, object)
    elif type_key(cls).startswith(("typing:", "types:")):  # An annotation.
        plain = True
    else:
        return _compared_of(layout_of(cls), value)
    if not plain:
        raise PayloadError(_key_refusal(cls))
    return ()


def _compared_of(layout: Layout, value: Any) -> Iterable[Any]:
    cls = layout.cls
    if layout.by_identity:
        return ()
    if layout.base_type in _HASHED and _is(cls, "__hash__", layout.base_type) and _is(cls, "__eq__", layout.base_type):
        return (layout.content(value),)
    if _is_generated(cls, "__hash__") and (_is_generated(cls, "__eq__") or _is(cls, "__eq__", BaseModel)):
        return layout.held(value).values()
    raise PayloadError(_key_refusal(cls))


def _key_refusal(cls: type[Any]) -> str:
    return (
        f"{type_key(cls)} is a key of a dictionary or a member of a set, and its own __hash__ and __eq__ would run "
        "when it is read. Use a frozen dataclass, a named tuple or a text instead."
    )


_PLAIN_KEYS = frozenset(map(id, (*SCALARS, *LEAVES, type(...))))
"""Identities of types that are hashed by code of Python alone."""
_HASHED = (tuple, frozenset, str, bytes, int, float, complex, decimal.Decimal, datetime.date, datetime.timedelta)


def _is(cls: type[Any], name: str, *owners: type[Any]) -> bool:
    """Tell whether a method of a class is that of one of some others."""
    found = class_attribute(cls, name)
    return any(found is class_attribute(owner, name) for owner in owners)


def _is_generated(cls: type[Any], name: str) -> bool:
    """Tell whether a method was generated from a class's fields by dataclasses, attrs or pydantic."""
    found = class_attribute(cls, name)
    if type(found) is not types.FunctionType:
        return False
    return found.__code__.co_filename.startswith(("<string>", "<attrs generated")) or _is_pydantic(found)


def _is_pydantic(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith("pydantic.")


def _own(cls: type[Any], name: str) -> Any:
    """Return a method by which a class has a say in what is stored; None for those that only hand on attributes."""
    found = class_attribute(cls, name)
    if type(found) is not types.FunctionType:
        return None
    known = found.__module__ == "dataclasses" or _is_pydantic(found)
    return None if known or class_attribute(cls, "__attrs_attrs__") is not ABSENT else found
