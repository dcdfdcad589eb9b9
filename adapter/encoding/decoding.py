"""The text of a checkpoint to values: a switch over a closed set of tags, which calls nothing that the data chooses.

Constructors run for standard values alone, with arguments that are checked before. Every other instance is made and
filled as `layouts.py` describes, of a class that the catalog knows. Time and memory are those of the text: nothing in
it is expanded but the attributes that are None, which are counted.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..errors import PayloadError
from ..framework.catalog import TypeCatalog, may_be_factory
from ..framework.standard import DATETIME, LEAF_READERS, TIME, bytes_of, datetime_of, time_of
from ..framework.static import is_class, type_key
from .annotations import annotation_of
from .document import CONTENT, MAX_DEPTH, NESTING, OBJECT, REFERENCE, Document, max_attributes, parse
from .enums import member_of
from .exceptions import made
from .layouts import Layout, check_key, layout_of
from .off_loop import off_loop
from .parts import order_of

_DEEPEST = 2 * NESTING
"""Levels in one line: a key may lie as deep as anything else, and has levels of its own."""
_MAX_ALIKE = 32
"""Keys with one hash: to put n of them into a dictionary takes n squared comparisons."""
_CONTAINERS = frozenset({list, dict})

_Fill = Callable[[Any, Any, int], object]


def loads(data: bytes, catalog: TypeCatalog) -> Any:
    """Read what `dumps` wrote. Makes only instances of declared, registered and framework types, and runs none of them.

    Raises:
        PayloadError: For bytes that are no such text, that name a type that is not allowed, or that are too large.
    """
    try:
        return _Decoder(parse(data), catalog).value()
    except Exception as error:  # Any of the checked constructors may refuse what it is given in its own way.
        raise PayloadError(f"Checkpoint data cannot be read: {type(error).__name__}: {error}") from error


async def decoded(data: bytes, catalog: TypeCatalog) -> Any:
    """Do as `loads`, beside the event loop where it takes long."""
    return await off_loop(len(data), lambda: loads(data, catalog))


class _Shape:
    """What the objects of a class have in common whose same attributes are None.

    Args:
        layout: Of the class.
        template: All attributes, in their order.
        given: Those that each object gives.
    """

    def __init__(self, layout: Layout, template: dict[str, Any], given: list[str]) -> None:
        self.layout = layout
        self.template = template
        self.given = given
        self.shadowing = layout.shadowing(template)
        self.empty = len(template) - len(given)


class _Decoder:
    """Puts one value together.

    Args:
        document: Its text, parsed. The lists and objects of it become part of the value.
        catalog: The classes that may be part of it.
    """

    def __init__(self, document: Document, catalog: TypeCatalog) -> None:
        self._document = document
        self._catalog = catalog
        self._shapes: dict[str, _Shape] = {}
        self._left = max_attributes()
        self._in_key = False
        self._base_depth = 0
        self._parts: list[Any] = [None] * len(document.parts)
        self._fills: dict[int, _Fill] = {}
        self._layouts: dict[int, Layout] = {}
        self._whole: set[int] = set()
        self._waiting: collections.deque[tuple[int, int]] = collections.deque()
        self._met: set[int] = set()
        self._readers: dict[str, Callable[[Any, int], Any]] = {
            REFERENCE: self._reference,
            "$tuple": lambda node, depth: tuple(self._items(node, depth)),
            "$set": lambda node, depth: set(self._keys(node, depth)),
            "$frozenset": lambda node, depth: frozenset(self._keys(node, depth)),
            "$dict": lambda node, depth: dict(self._pairs(node, depth)),
            "$bytearray": lambda node, depth: bytearray(bytes_of(node)),
            "$slice": self._slice,
            DATETIME: partial(self._zoned, datetime_of),
            TIME: partial(self._zoned, time_of),
            "$deque": self._deque,
            "$defaultdict": self._defaultdict,
            "$ordered": partial(self._filled, collections.OrderedDict),
            "$counter": partial(self._filled, collections.Counter),
            "$enum": self._enum,
            "$type": lambda node, depth: annotation_of(node, self._catalog),
            "$error": self._exception,
        }
        self._shells: dict[str, tuple[Callable[[], Any], _Fill]] = {
            "$set": (set, lambda shell, node, depth: set.update(shell, self._keys(node, depth))),
            "$dict": (dict, lambda shell, node, depth: dict.update(shell, self._pairs(node, depth))),
            "$deque": (collections.deque, lambda shell, node, depth: _refill(shell, self._deque(node, depth))),
            "$defaultdict": (collections.defaultdict, self._fill_defaultdict),
            "$ordered": (collections.OrderedDict, self._fill_mapping),
            "$counter": (collections.Counter, self._fill_mapping),
        }

    def value(self) -> Any:
        """Return the value."""
        for number, part in enumerate(self._document.parts):
            self._begin(number, part)
        order = order_of(self._document.parts, self._whole)
        if order is None:
            raise ValueError("a value that is part of itself and cannot be")
        for number in order:
            self._parts[number] = self._whole_part(number)
        value = self._decoded(self._document.body, 0)
        while self._waiting:
            number, self._base_depth = self._waiting.popleft()
            fill = self._fills.get(number)
            if fill is not None:
                fill(self._parts[number], self._document.parts[number], 0)
        return value

    def _begin(self, number: int, part: Any) -> None:
        """Make a part that is filled later, or note that it has to be whole."""
        if type(part) is list:
            self._parts[number], self._fills[number] = part, lambda shell, node, depth: self._items(node, depth)
            return
        tag = next(iter(part), "") if type(part) is dict else None
        if tag is not None and not tag.startswith("$"):
            self._parts[number], self._fills[number] = part, lambda shell, node, depth: self._plain(node, depth)
        elif tag is not None and tag in self._shells and len(part) == 1:
            shell, fill = self._shells[tag]
            self._parts[number], self._fills[number] = shell(), _under(tag, fill)
        elif tag == OBJECT:
            layout = self._layouts[number] = self._shape(part).layout
            self._fills[number] = self._fill_object
            if layout.mutable:
                self._parts[number] = layout.new()
            else:
                self._whole.add(number)
        elif tag == REFERENCE:
            raise ValueError("a reference to a reference")
        else:
            self._whole.add(number)

    def _whole_part(self, number: int) -> Any:
        part, layout = self._document.parts[number], self._layouts.get(number)
        return self._decoded(part, 0) if layout is None else layout.new_of(self._content(part, 0))

    def _decoded(self, node: Any, depth: int) -> Any:
        """Return the value of a node."""
        kind = type(node)
        if kind not in _CONTAINERS:
            return node
        if depth > _DEEPEST:
            raise ValueError("a value that is nested too deep")
        if kind is list:
            return self._items(node, depth)
        tag = next(iter(node), "")
        if not tag.startswith("$"):
            return self._plain(node, depth)
        if tag == OBJECT:
            return self._object(node, depth)
        if len(node) != 1:
            raise ValueError(f"{tag} is not alone")
        leaf = LEAF_READERS.get(tag)
        return leaf(node[tag]) if leaf is not None else self._readers[tag](node[tag], depth)

    def _items(self, node: Any, depth: int) -> list[Any]:
        if type(node) is not list:
            raise ValueError(f"{type(node).__name__} is not a list")
        if not _CONTAINERS.isdisjoint(map(type, node)):
            deeper = depth + 1
            for index, item in enumerate(node):
                if type(item) in _CONTAINERS:
                    node[index] = self._decoded(item, deeper)
        return node

    def _plain(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        if not _CONTAINERS.isdisjoint(map(type, node.values())):
            deeper = depth + 1
            for name, item in node.items():
                if type(item) in _CONTAINERS:
                    node[name] = self._decoded(item, deeper)
        return node

    def _mapping(self, node: Any, depth: int) -> dict[Any, Any]:
        """Return a dictionary that no one else holds."""
        if type(node) is not dict or REFERENCE in node:
            raise ValueError(f"{type(node).__name__} is not a dictionary")
        found = self._decoded(node, depth)
        if type(found) is not dict:
            raise ValueError(f"{type(found).__name__} is not a dictionary")
        return found

    def _filled(self, cls: Callable[[], Any], node: Any, depth: int) -> Any:
        found = cls()
        self._fill_mapping(found, node, depth)
        return found

    def _fill_mapping(self, shell: dict[Any, Any], node: Any, depth: int) -> None:
        for key, item in self._mapping(node, depth).items():
            shell[key] = item

    def _pairs(self, node: Any, depth: int) -> Iterator[tuple[Any, Any]]:
        """Yield the items of a dictionary that is written as a list of its keys and values in turn."""
        if type(node) is not list or len(node) % 2:
            raise ValueError("items that are none")
        keys = self._keys(node[::2], depth)
        return zip(keys, self._items(node[1::2], depth), strict=True)

    def _keys(self, node: Any, depth: int) -> list[Any]:
        """Return what is to be hashed."""
        before, self._in_key = self._in_key, True
        keys = self._items(node, depth)
        self._in_key = before
        for key in keys:
            check_key(key)
        hashes = [*map(hash, keys)]
        if len(hashes) - len(set(hashes)) > _MAX_ALIKE:
            counts = dict.fromkeys(hashes, 0)
            for found in hashes:
                counts[found] += 1
            if max(counts.values()) > _MAX_ALIKE:
                raise ValueError("too many keys of one hash")
        return keys

    def _reference(self, node: Any, depth: int) -> Any:
        if type(node) is not int or not 0 <= node < len(self._parts):
            raise ValueError(f"a reference to {node!r:.60}")
        found = self._parts[node]
        if self._in_key and not (node in self._layouts and self._layouts[node].by_identity):
            raise ValueError("a reference in a key")
        if node not in self._met:
            self._met.add(node)
            if self._base_depth + depth > MAX_DEPTH:
                raise ValueError("a value that is nested too deep")
            self._waiting.append((node, self._base_depth + depth))
        return found

    def _object(self, node: dict[str, Any], depth: int) -> Any:
        layout = self._shape(node).layout
        instance = layout.new() if layout.mutable else layout.new_of(self._content(node, depth))
        self._fill_object(instance, node, depth)
        return instance

    def _fill_object(self, instance: Any, node: dict[str, Any], depth: int) -> None:
        shape = self._shape(node)
        layout = shape.layout
        values = node[OBJECT][1:]
        if len(values) != len(shape.given):
            raise ValueError(f"{layout.key} has {len(shape.given)} attributes, not {len(values)}")
        before = self._in_key
        if layout.by_identity:
            self._in_key = False
        self._items(values, depth)
        self._in_key = before
        self._left -= shape.empty
        if self._left < 0:
            raise ValueError("too many attributes that are None")
        attributes: dict[str, Any] = dict(shape.template)
        attributes.update(zip(shape.given, values, strict=True))
        for name in shape.shadowing:
            if callable(attributes[name]):
                raise ValueError(f"{layout.key} holds something callable in place of its method {name!r}")
        layout.fill(instance, attributes)
        if layout.has_content and layout.mutable:
            layout.fill_content(instance, self._content(node, depth))

    def _content(self, node: dict[str, Any], depth: int) -> Any:
        content = node[CONTENT]
        if type(content) is dict and REFERENCE in content:
            raise ValueError("a reference in place of what an object contains")
        return self._decoded(content, depth + 1)

    def _shape(self, node: dict[str, Any]) -> _Shape:
        values = node[OBJECT]
        if type(values) is not list or not values or type(values[0]) is not str:
            raise ValueError("an object that is none")
        if len(node) != (2 if CONTENT in node else 1):
            raise ValueError("an object that is more than one")
        name = values[0]
        found = self._shapes.get(name)
        if found is None:
            found = self._shapes[name] = self._new_shape(self._document.shapes[name])
        if (CONTENT in node) is not found.layout.has_content:
            raise ValueError(f"{found.layout.key} has no or other content")
        return found

    def _new_shape(self, node: Any) -> _Shape:
        key, names, empty = node
        if type(names) is not list or type(empty) is not list or any(type(name) is not str for name in names):
            raise ValueError("a shape that is none")
        cls = annotation_of(key, self._catalog)
        if not is_class(cls):
            raise ValueError(f"{key!r:.60} is not a class")
        layout = layout_of(cls)
        if layout.refusal is not None:
            raise ValueError(f"{type_key(cls)} must not be instantiated: {layout.refusal}")
        template: dict[str, Any] = dict.fromkeys(names)
        absent = {names[index] for index in empty if type(index) is int}
        if len(template) != len(names) or len(absent) != len(empty):
            raise ValueError("a shape that is none")
        given = [name for name in names if name not in absent]
        return _Shape(layout, template, given)

    def _slice(self, node: Any, depth: int) -> slice:
        start, stop, step = self._items(node, depth)
        return slice(start, stop, step)

    def _zoned(self, build: Callable[[Any, Any, Any], Any], node: Any, depth: int) -> Any:
        if type(node) is not list:
            return build(node, 0, None)
        said, fold, zone = node
        return build(said, fold, self._decoded(zone, depth + 1))

    def _deque(self, node: Any, depth: int) -> collections.deque[Any]:
        longest, items = node
        if longest is not None and (type(longest) is not int or longest < 0):
            raise ValueError("a deque that is none")
        return collections.deque(self._items(items, depth), longest)

    def _defaultdict(self, node: Any, depth: int) -> collections.defaultdict[Any, Any]:
        found: collections.defaultdict[Any, Any] = collections.defaultdict()
        self._fill_defaultdict(found, node, depth)
        return found

    def _fill_defaultdict(self, found: collections.defaultdict[Any, Any], node: Any, depth: int) -> None:
        key, items = node
        factory = None if key is None else annotation_of(key, self._catalog)
        if not (factory is None or may_be_factory(factory, self._catalog)):
            raise ValueError(f"a defaultdict of {key!r:.60}")
        found.update(self._mapping(items, depth))
        found.default_factory = factory

    def _enum(self, node: Any, depth: int) -> Any:
        key, *which = node.rpartition(".")[::2] if type(node) is str else node
        cls = self._catalog.resolve(key) if type(key) is str else None
        if cls is None or len(which) not in (1, 2):
            raise ValueError(f"{key!r:.60} is not a type this workflow declares, or is not imported")
        return member_of(cls, *which)

    def _exception(self, node: Any, depth: int) -> Exception:
        key, args, said, attributes = node
        args = self._items(args, depth)
        text = said if said is not None else args[0]
        if type(key) is not str or type(text) is not str:
            raise ValueError("an exception that is none")
        cls = self._catalog.error_class(key)
        try:
            error = made(cls, args) if cls is not None else RuntimeError(text)
        except TypeError:
            return RuntimeError(text)
        if attributes is not None:
            error.__dict__.update(self._mapping(attributes, depth))
        return error


def _under(tag: str, fill: _Fill) -> _Fill:
    return lambda shell, node, depth: fill(shell, node[tag], depth)


def _refill(shell: collections.deque[Any], found: collections.deque[Any]) -> None:
    collections.deque.__init__(shell, found, found.maxlen)
