"""Values to the text of a checkpoint, see `_document.py`: data alone, and nothing that a reader could not put together.

What is part of a value more than once is written once, under a number; so is what lies too deep. The first pass finds
what is met twice, and a second one is made only if there is something: most values have none of it.
"""

from __future__ import annotations

import collections
import datetime
import enum
import types
import zoneinfo
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from itertools import chain
from typing import Any

from ..errors import PayloadError
from ..framework.catalog import TypeCatalog, may_be_factory
from ..framework.internals import is_generic_annotation
from ..framework.standard import (
    DATETIME,
    LEAVES,
    SCALARS,
    TIME,
    bytes_node,
    datetime_text,
    integer_node,
    time_text,
)
from ..framework.static import has_base, is_class, type_key
from .annotations import annotation_node
from .document import (
    CONTENT,
    MAX_BYTES_VARIABLE,
    MAX_DEPTH,
    NESTING,
    OBJECT,
    REFERENCE,
    lines,
    max_attributes,
    plain_digits,
    text,
)
from .enums import member_node
from .exceptions import described
from .layouts import Layout, check_key, layout_of, refusal_of
from .parts import order_of

_FUNCTION_TYPES = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_LONG = 64 * 1024
"""Characters or bytes of a text that is written once, however often it is held."""
_SHORT_TUPLE = 16
_MANY = 16
"""Parts of a list or dictionary for which it is worth a try whether it is plain JSON throughout."""
_HASH_DIGITS = 6
_MAX_ERROR_VALUES = 1_000
_LEAF, _WHOLE, _FILLED, _IDENTITY = 0, 1, 2, 3
"""What a kind of values is: one that is written wherever it is held; one that is written once, and has to be whole when
it is made, or may be filled later; the last, if it is compared by identity, also where it is a key."""

_Writer = Callable[[Any, int], Any]


def dumps(value: Any, catalog: TypeCatalog) -> bytes:
    """Write `value`, refusing what could not be read again.

    Raises:
        PayloadError: Naming the class that is not declared and the line to add, or what cannot be stored.
    """
    return _written([value], catalog, several=False)[0]


def dumps_all(values: Sequence[Any], catalog: TypeCatalog) -> tuple[bytes, list[int]]:
    """Write a list of values that have nothing to do with each other.

    Returns:
        What `dumps` would return of the list, and the size of each value in it.

    Raises:
        PayloadError: As `dumps` does.
    """
    return _written(values, catalog, several=True)


def _written(values: Sequence[Any], catalog: TypeCatalog, *, several: bool) -> tuple[bytes, list[int]]:
    try:
        try:
            return _document(_Encoder(catalog, careful=not plain_digits()), values, several=several)
        except _TooManyDigitsError:
            return _document(_Encoder(catalog, careful=True), values, several=several)
    except PayloadError:
        raise
    except Exception as error:  # Taking values apart may run code of theirs, which may raise anything.
        name = "The data" if several else type(values[0]).__name__
        raise PayloadError(f"{name} cannot be stored: {error or type(error).__name__}") from error


def _document(encoder: _Encoder, values: Sequence[Any], *, several: bool) -> tuple[bytes, list[int]]:
    try:
        return encoder.document(values, several=several)
    finally:  # It refers to itself, and would keep what it has seen until the garbage collector comes by.
        vars(encoder).clear()


class _TooManyDigitsError(Exception):
    """JSON takes no integer of so many digits."""


class _Encoder:
    """Takes values apart.

    Args:
        catalog: The classes that may be part of them.
        careful: Whether to look at every integer, as there is one that is too long for JSON.
    """

    def __init__(self, catalog: TypeCatalog, *, careful: bool) -> None:
        self._catalog = catalog
        self._plain = SCALARS - {str, int} if careful else SCALARS - {str}
        """What needs no look."""
        self._shapes: dict[str, list[Any]] = {}
        self._shape_of: dict[tuple[Any, ...], tuple[str, int, list[str]]] = {}
        self._empty = 0
        self._parts: list[Any] = []
        self._whole: set[int] = set()
        self._apart = False
        self._seen: dict[int, Any] = {}
        self._twice: set[int] = set()
        self._known: frozenset[int] = frozenset()
        self._plainly = True
        """Whether no value is known to need a number, and none is a key."""
        self._numbers: dict[int, int] = {}
        self._waiting: collections.deque[tuple[int, Any, int, _Writer]] = collections.deque()
        self._base_depth = 0
        self._in_key = False
        self._chosen: dict[int, dict[str, Any]] = {}
        self._writers: dict[type[Any], tuple[int, _Writer]] = {
            str: (_WHOLE, lambda value, depth: value),  # A long one.
            int: (_LEAF, lambda value, depth: integer_node(value)),
            list: (_FILLED, self._list),
            dict: (_FILLED, self._dict),
            tuple: (_LEAF, self._tuple),
            set: (_FILLED, lambda value, depth: {"$set": self._members(value, depth)}),
            frozenset: (_WHOLE, lambda value, depth: {"$frozenset": self._members(value, depth)}),
            bytearray: (_FILLED, lambda value, depth: {"$bytearray": bytes_node(value)}),
            slice: (_LEAF, lambda value, depth: {"$slice": self._list([value.start, value.stop, value.step], depth)}),
            datetime.datetime: (_LEAF, lambda value, depth: self._zoned(DATETIME, datetime_text(value), value, depth)),
            datetime.time: (_LEAF, lambda value, depth: self._zoned(TIME, time_text(value), value, depth)),
            collections.deque: (_FILLED, self._deque),
            collections.defaultdict: (_FILLED, self._defaultdict),
            collections.OrderedDict: (_FILLED, partial(self._mapping, "$ordered")),
            collections.Counter: (_FILLED, partial(self._mapping, "$counter")),
            **{cls: (_LEAF, partial(_leaf, tag, node)) for cls, (tag, node) in LEAVES.items()},
            bytes: (_LEAF, self._bytes),
        }

    def document(self, values: Sequence[Any], *, several: bool) -> tuple[bytes, list[int]]:
        """Return the text of values, as a list or of the one there is, and the size of each."""
        nodes = [self._root(value) for value in values]
        if self._empty > max_attributes():
            raise PayloadError(
                f"It has {self._empty:,} attributes that are None; at most {max_attributes():,} can be read back. "
                f"Keep a reference in the state instead of the data, or raise {MAX_BYTES_VARIABLE}."
            )
        try:
            texts = [text(node) for node in nodes]
            data = lines(self._shapes, self._parts, f"[{','.join(texts)}]" if several else texts[0])
        except ValueError as error:
            raise _TooManyDigitsError from error
        return data, [len(found.encode("utf-8", "surrogatepass")) for found in texts] if several else []

    def _root(self, value: Any) -> Any:
        self._chosen = {}
        self._twice = set()
        before = (len(self._parts), self._empty)
        node = self._pass(value)
        if self._twice:
            node = self._again(value, *before)
            if order_of(self._parts, self._whole) is None:
                # A tuple is part of itself: what lies between has to be there before it, to be filled later.
                self._apart = True
                node = self._again(value, *before)
                self._apart = False
        return node

    def _again(self, value: Any, parts: int, empty: int) -> Any:
        del self._parts[parts:]
        self._whole = {number for number in self._whole if number < parts}
        self._empty = empty
        return self._pass(value)

    def _pass(self, value: Any) -> Any:
        self._known = frozenset(self._twice)
        self._plainly = not self._known and not self._apart
        self._seen, self._numbers = {}, {}
        self._base_depth = 0
        node = self._value(value, 0)
        while self._waiting:
            number, item, self._base_depth, write = self._waiting.popleft()
            self._parts[number] = write(item, 0)
        return node

    def _value(self, value: Any, depth: int) -> Any:
        """Return the node of a value."""
        kind = type(value)
        if kind in self._plain or (kind is str and len(value) < _LONG):
            return value
        held, write = self._writers.get(kind) or self._writer(kind, value)
        if held == _LEAF:
            return write(value, depth)
        if self._plainly and depth < NESTING and id(value) not in self._seen:
            self._seen[id(value)] = value
            return write(value, depth)
        return self._held(value, depth, held, write)

    def _held(self, value: Any, depth: int, held: int, write: _Writer) -> Any:
        """Return the node of a value that is written once, however often it is met."""
        if self._in_key and held != _IDENTITY:
            return write(value, depth)  # A key's hash goes into whatever it contains: let it be as large as it looks.
        identity = id(value)
        if identity in self._known or (self._apart and held != _WHOLE):
            return self._reference(value, depth, held, write)
        if identity in self._seen:
            self._twice.add(identity)
            return None  # There is another pass.
        self._seen[identity] = value
        return write(value, depth) if depth < NESTING else self._reference(value, depth, held, write)

    def _reference(self, value: Any, depth: int, held: int, write: _Writer) -> dict[str, int]:
        number = self._numbers.get(id(value))
        if number is None:
            if self._base_depth + depth > MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
            number = self._numbers[id(value)] = len(self._parts)
            self._seen[id(value)] = value
            self._parts.append(None)
            if held == _WHOLE:
                self._whole.add(number)
            self._waiting.append((number, value, self._base_depth + depth, write))
        return {REFERENCE: number}

    def _writer(self, kind: type[Any], value: Any) -> tuple[int, _Writer]:
        """Find out how to write a kind of values.

        Raises:
            PayloadError: When it cannot be read again.
        """
        if value is ... or is_class(value) or is_generic_annotation(value):
            return _LEAF, lambda item, depth: {"$type": annotation_node(item, self._catalog)}
        if has_base(kind, *_FUNCTION_TYPES):
            raise PayloadError(
                f"Function {value.__module__}.{value.__qualname__} is part of a value, but a checkpoint can hold only "
                "data. Keep the function's name in the state and look it up by name."
            )
        if has_base(kind, BaseException):
            found: tuple[int, _Writer] = (_WHOLE, self._exception)
        elif not self._catalog.is_allowed(kind):
            raise PayloadError(refusal_of(kind))
        elif has_base(kind, enum.Enum):
            found = (_LEAF, lambda item, depth: {"$enum": member_node(item)})
        elif has_base(kind, zoneinfo.ZoneInfo):
            raise PayloadError(refusal_of(kind))
        else:
            layout = layout_of(kind)
            if layout.refusal is not None:
                name = type_key(kind).replace(":", ".")
                raise PayloadError(
                    f"{name} cannot be stored in a checkpoint: {layout.refusal}. Keep plain data in the state instead."
                )
            held = _IDENTITY if layout.by_identity else _FILLED if layout.mutable else _WHOLE
            found = (held, partial(self._object, layout))
        self._writers[kind] = found
        return found

    def _list(self, value: list[Any] | tuple[Any, ...], depth: int) -> Any:
        kinds = set(map(type, value))
        if kinds <= self._plain or (kinds <= _ONLY_TEXT and max(map(len, value), default=0) < _LONG):
            return value
        if len(value) >= _MANY and self._is_plain(value, depth):
            return value
        plain, deeper = self._plain, depth + 1
        return [
            item if (kind := type(item)) in plain or (kind is str and len(item) < _LONG) else self._value(item, deeper)
            for item in value
        ]

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        plain, deeper = self._plain, depth + 1
        if not _names_itself(value):
            flat: list[Any] = []
            for key, item in value.items():
                flat += (self._key(key, deeper), self._value(item, deeper))
            return {"$dict": flat}
        if plain.issuperset(map(type, value.values())) or (len(value) >= _MANY and self._is_plain(value, depth)):
            return value
        return {
            key: item
            if (kind := type(item)) in plain or (kind is str and len(item) < _LONG)
            else self._value(item, deeper)
            for key, item in value.items()
        }

    def _is_plain(self, value: Any, depth: int) -> bool:
        """Tell whether a list or dictionary is plain JSON throughout, faster than part by part."""
        if self._in_key or self._apart or type(value) not in _CONTAINERS:
            return False
        level, parts, count = [value], set[int](), 0
        for _ in range(depth, NESTING):
            dictionaries = [item for item in level if type(item) is dict]
            if not _ONLY_TEXT.issuperset(map(type, chain.from_iterable(dictionaries))):
                return False
            if any(name.startswith("$") for name in set(chain.from_iterable(dictionaries))):
                return False
            lists = [item for item in level if type(item) is list]
            items = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, dictionaries))]
            kinds = set(map(type, items))
            if not kinds - _JSON <= self._plain or any(len(item) >= _LONG for item in items if type(item) is str):
                return False
            level = [] if kinds.isdisjoint(_CONTAINERS) else [item for item in items if type(item) in _CONTAINERS]
            parts.update(map(id, level))
            count += len(level)
            if not level:
                break
        if level or len(parts) != count or not self._known.isdisjoint(parts) or not self._seen.keys().isdisjoint(parts):
            return False
        self._seen.update(dict.fromkeys(parts))
        return True

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Any:
        if len(value) > _SHORT_TUPLE or not SCALARS.issuperset(map(type, value)):
            return self._held(value, depth, _WHOLE, self._long_tuple)
        return self._long_tuple(value, depth)

    def _long_tuple(self, value: tuple[Any, ...], depth: int) -> Any:
        return {"$tuple": self._list(value, depth)}

    def _bytes(self, value: bytes, depth: int) -> Any:
        if len(value) >= _LONG:
            return self._held(value, depth, _WHOLE, lambda item, _: {"$bytes": bytes_node(item)})
        return {"$bytes": bytes_node(value)}

    def _members(self, value: Iterable[Any], depth: int) -> list[Any]:
        """Return the members of a set in an order that is the same in every process, unlike that of their hashes."""
        nodes = [self._key(item, depth + 1) for item in value]
        kinds = frozenset(map(type, nodes))
        return sorted(nodes, key=None if kinds in (_ONLY_TEXT, _ONLY_INTEGERS) else text)

    def _key(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in self._plain or (kind is str and len(value) < _LONG):
            return value
        check_key(value)
        before = self._in_key, self._plainly
        self._in_key, self._plainly = True, False
        node = self._value(value, depth)
        self._in_key, self._plainly = before
        return node

    def _zoned(self, tag: str, said: str, value: Any, depth: int) -> Any:
        if value.tzinfo is None and not value.fold:
            return {tag: said}
        return {tag: [said, value.fold, self._value(value.tzinfo, depth + 1)]}

    def _deque(self, value: collections.deque[Any], depth: int) -> Any:
        return {"$deque": [value.maxlen, self._list([*value], depth)]}

    def _defaultdict(self, value: collections.defaultdict[Any, Any], depth: int) -> Any:
        factory = value.default_factory
        if may_be_factory(factory, self._catalog):
            return {"$defaultdict": [annotation_node(factory, self._catalog), self._dict(value, depth)]}
        if factory is None:
            return {"$defaultdict": [None, self._dict(value, depth)]}
        raise PayloadError(
            f"A defaultdict of {factory!r} is part of a value, but its factory must be a builtin class or one that "
            "the workflow declares. Use such a class, or `dict` with `setdefault`."
        )

    def _mapping(self, tag: str, value: Any, depth: int) -> Any:
        if vars(value):
            return self._object(layout_of(type(value)), value, depth)
        return {tag: self._dict(value, depth)}

    def _exception(self, error: BaseException, depth: int) -> Any:
        key, args = described(error, self._catalog)
        attributes = {name: item for name, item in vars(error).items() if type(name) is str and _is_json(item)}
        said = str(error)
        return {
            "$error": [
                key,
                self._list(args, depth),
                None if args == [said] else said,
                self._dict(attributes, depth) if attributes else None,
            ]
        }

    def _object(self, layout: Layout, value: Any, depth: int) -> Any:
        before = self._in_key
        if layout.by_identity:
            self._in_key = False  # Its hash does not go into what it holds.
        attributes = self._attributes_of(layout, value)
        names, gaps = tuple(attributes), tuple([item is None for item in attributes.values()])
        found = self._shape_of.get((layout.key, names, gaps))
        shape, empty, shadowing = found or self._new_shape(layout, names, gaps)
        self._empty += empty
        for name in shadowing:
            if callable(attributes[name]):
                raise PayloadError(
                    f"{layout.key} has a callable attribute {name!r} that hides its method. Rename the attribute."
                )
        deeper = depth + 1
        plain = self._plain
        values = [
            item if (kind := type(item)) in plain or (kind is str and len(item) < _LONG) else self._value(item, deeper)
            for item in attributes.values()
            if item is not None
        ]
        node = {OBJECT: [shape, *values]}
        if layout.has_content:
            content = layout.content(value)
            node[CONTENT] = self._content(content, deeper)
        self._in_key = before
        return node

    def _content(self, content: Any, depth: int) -> Any:
        """Return the node of a builtin value that no one else holds."""
        kind = type(content)
        if kind is tuple:
            return self._long_tuple(content, depth)
        if kind is bytes:
            return {"$bytes": bytes_node(content)}
        return content if kind in self._plain or kind is str else self._writers[kind][1](content, depth)

    def _attributes_of(self, layout: Layout, value: Any) -> dict[str, Any]:
        if not layout.chooses:
            return layout.attributes(value)
        found = self._chosen.get(id(value))
        if found is None:  # What it chooses may be made for the occasion, and another pass must meet the same.
            found = self._chosen[id(value)] = layout.attributes(value)
        return found

    def _new_shape(self, layout: Layout, names: tuple[str, ...], gaps: tuple[bool, ...]) -> tuple[str, int, list[str]]:
        if not all(type(name) is str for name in names):
            raise PayloadError(f"{layout.key} has an attribute whose name is not a string. Rename it.")
        empty = [index for index, gap in enumerate(gaps) if gap]
        shape = [annotation_node(layout.cls, self._catalog), list(names), empty]
        content = blake2b(text(shape).encode("utf-8", "surrogatepass")).hexdigest()
        short = layout.key.rpartition(":")[2].rpartition(".")[2]
        digits = _HASH_DIGITS
        # By its content, so that it is the same in every value, and a patch does not say it again.
        while self._shapes.get(f"{short}~{content[:digits]}", shape) != shape:
            digits += 1
        name = f"{short}~{content[:digits]}"
        self._shapes[name] = shape
        found = self._shape_of[layout.key, names, gaps] = (name, len(empty), layout.shadowing(names))
        return found


def _names_itself(value: dict[Any, Any]) -> bool:
    """Tell whether a dictionary can be written as an object of JSON: its keys are texts, and none like a tag."""
    if not _ONLY_TEXT.issuperset(map(type, value)):
        return False
    return "$" not in "".join(value) or not any(name.startswith("$") for name in value)


def _leaf(tag: str, node: Callable[[Any], Any], value: Any, depth: int) -> Any:
    return {tag: node(value)}


def _is_json(value: Any) -> bool:
    """Tell whether what an exception holds is a little plain data: a connection or a response of a client is not."""
    waiting, left = [value], _MAX_ERROR_VALUES
    while waiting:
        item = waiting.pop()
        left -= 1
        if left < 0 or not (type(item) in SCALARS or type(item) in (list, dict)):
            return False
        if type(item) is list:
            waiting += item
        elif type(item) is dict:
            waiting += [*item, *item.values()]
    return True


_ONLY_TEXT = frozenset({str})
_ONLY_INTEGERS = frozenset({int})
_CONTAINERS = frozenset({list, dict})
_JSON = frozenset({str, list, dict})
