"""Values as JSON that a person edits, and back: what has not changed is kept as it is, the very object.

JSON stands for itself. An object of a class is `{"$type": "my_workflow:Draft", ...}` with its fields; what is no object
in JSON has its content under `value` there. What JSON cannot say is `{"$kept": ...}`, which stays as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union, get_args

from pydantic import BaseModel

from ...workflows.display import one_line
from ..advice import Advice
from ..encoding.differences import difference
from ..framework.catalog import TypeCatalog, members, readable_name, runtime_class
from ..framework.internals import matches
from ..framework.static import type_key
from ..framework.values import from_json_value, preview, to_json_value, validation_errors

_TYPE, _VALUE, _KEPT = "$type", "value", "$kept"
_SEQUENCES = {"builtins:tuple": tuple, "builtins:set": set, "builtins:frozenset": frozenset}
_DICT = "builtins:dict"
_MAX_LEVELS = 60
_MAX_SHOWN = 200
ABSENT: Any = object()
"""Stands for a value that is not there."""


class EditValues:
    """Values to JSON and back.

    Args:
        catalog: The classes that they may be made of.
    """

    def __init__(self, catalog: TypeCatalog) -> None:
        self._catalog = catalog
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._nodes: dict[int, dict[str, Any]] = {}
        self._met: set[str] = set()
        self._problems: list[str] = []

    def begin(self, problems: list[str]) -> None:
        """Read anew, and note what is wrong."""
        self._problems = problems
        self._met = set()

    def refuse(self, place: str, reason: str) -> None:
        """Note what is wrong."""
        self._problems.append(Advice(f"`{place}`: ", reason, "."))

    def check_kept(self) -> None:
        """Refuse a document that lacks what cannot be written in it."""
        for name, (node, _) in self._kept.items():
            if name not in self._met:
                self.refuse(name, f"what JSON cannot express must stay as it was; put {json.dumps(node)} back")

    def mapping(self, node: Any, place: str) -> Mapping[str, Any] | None:
        """Return an object; None where there is none, which is noted unless it is left out."""
        if isinstance(node, Mapping):
            return node
        if node is not ABSENT:
            self.refuse(place, f"expected an object, got {_kind(node)}")
        return None

    def sequence(self, node: Any, place: str) -> list[Any]:
        """Return a list; an empty one where there is none, which is noted."""
        if isinstance(node, list):
            return node
        self.refuse(place, f"expected a list, got {_kind(node)}")
        return []

    def write(self, value: Any, place: str, level: int = 0) -> Any:
        """Return a value as JSON data."""
        kind = type(value)
        if value is None or kind in (str, bool, int) or (kind is float and math.isfinite(value)):
            return value
        if level < _MAX_LEVELS:
            if kind is list:
                return [self.write(item, f"{place}[{index}]", level + 1) for index, item in enumerate(value)]
            if kind is dict and all(type(key) is str and not key.startswith("$") for key in value):
                return {key: self.write(item, f"{place}[{key!r:.60}]", level + 1) for key, item in value.items()}
            if kind is dict:
                pairs = [
                    [self.write(key, f"{place} key", level + 1), self.write(item, f"{place}[{key!r:.60}]", level + 1)]
                    for key, item in value.items()
                ]
                return {_TYPE: _DICT, _VALUE: pairs}
            if type_key(kind) in _SEQUENCES:
                items = [self.write(item, f"{place}[{index}]", level + 1) for index, item in enumerate(value)]
                return {_TYPE: type_key(kind), _VALUE: items if kind is tuple else sorted(items, key=json.dumps)}
            data = self._as_json(value)
            if isinstance(data, dict) and not any(key.startswith("$") for key in data):
                return {_TYPE: type_key(kind), **data}
            if data is not ABSENT:
                return {_TYPE: type_key(kind), _VALUE: data}
        if id(value) not in self._nodes:  # It has one name, wherever it is moved to.
            node = {_KEPT: place, "type": type_key(kind), "shown": one_line(json.dumps(preview(value)[0]), _MAX_SHOWN)}
            self._nodes[id(value)] = node
            self._kept[place] = (node, value)
        return self._nodes[id(value)]

    def _as_json(self, value: Any) -> Any:
        """Return a value's JSON, if it comes back from there as it is."""
        kind = type(value)
        try:
            data = to_json_value(value, "It")
            arrived = from_json_value(data, type_key(kind), (kind,), self._catalog)
            same = difference(value, arrived) is None
        except Exception:  # Validators, and comparisons, are the values' own code.
            return ABSENT
        return data if same else ABSENT

    def read(self, node: Any, old: Any, place: str, annotation: Any) -> Any:
        """Return the value of JSON data.

        Args:
            node: The data.
            old: The value that was there: where nothing has changed, it is kept.
            place: Names it in errors.
            annotation: What is expected.
        """
        if isinstance(node, dict) and _KEPT in node:
            return self._read_kept(node, place)
        if old is not ABSENT and _text(node) == _text(self.write(old, place)):
            return self._kept_within(node, old)
        if isinstance(node, dict) and _TYPE in node:
            value = self._read_typed(node, old, place)
        elif isinstance(node, list) and _allows(annotation, list):
            value = self._read_items(node, old if isinstance(old, list) else [], place, _part(annotation, list, 0))
        elif isinstance(node, dict) and _allows(annotation, dict):
            olds = old if isinstance(old, dict) else {}
            part = _part(annotation, dict, 1)
            value = {
                key: self.read(
                    item, olds.get(key, ABSENT), f"{place}[{key!r:.60}]", _of_old(olds.get(key, ABSENT), part)
                )
                for key, item in node.items()
            }
        else:
            value = self._read_plain(node, place, annotation)
        if value is not ABSENT and not _fits(value, annotation):
            self.refuse(place, f"expected {_expected(annotation)}, got {_kind(node)}")
        _leave_unset(value, old)
        return value

    def _kept_within(self, node: Any, old: Any) -> Any:
        for name in _kept_names(node):
            self._met.add(name)
        return old

    def _read_kept(self, node: Mapping[str, Any], place: str) -> Any:
        name = node[_KEPT]
        known = self._kept.get(name) if isinstance(name, str) else None
        if known is None or known[0] != node:
            self.refuse(place, "what JSON cannot express must stay as it was: do not change its placeholder")
            return ABSENT
        if name in self._met:
            self.refuse(place, "what JSON cannot express exists once: do not copy its placeholder")
        self._met.add(name)
        return known[1]

    def _read_typed(self, node: Mapping[str, Any], old: Any, place: str) -> Any:
        key = node[_TYPE]
        content = node[_VALUE] if set(node) == {_TYPE, _VALUE} else {k: v for k, v in node.items() if k != _TYPE}
        if key in _SEQUENCES:
            olds = list(old) if type(old) in (tuple, set, frozenset) else []
            items = self._read_items(self.sequence(content, place), olds, place, Any)
            try:
                return _SEQUENCES[key](items)
            except TypeError:
                self.refuse(place, "a set can hold only what can be a key")
                return ABSENT
        if key == _DICT:
            return self._read_pairs(content, old, place)
        cls = type(old) if old is not ABSENT and key == type_key(type(old)) else self._catalog.resolve(str(key))
        if cls is None:
            self.refuse(place, f"{key!r:.100} is not a type that this workflow declares")
            return ABSENT
        value = from_json_value(content, str(key), (cls,), self._catalog)
        if type(value) is not cls:
            errors = "; ".join(validation_errors(content, cls)) or f"got {_kind(content)}"
            self.refuse(place, f"expected {readable_name(cls)}: {errors}")
            return ABSENT
        return value

    def _read_pairs(self, content: Any, old: Any, place: str) -> Any:
        olds = old if isinstance(old, dict) else {}
        found = {}
        for pair in self.sequence(content, place):
            if not isinstance(pair, list) or len(pair) != 2:
                self.refuse(place, "expected key-value pairs")
                return ABSENT
            key = self.read(pair[0], ABSENT, f"{place} key", Any)
            try:
                value = olds.get(key, ABSENT)
            except TypeError:
                self.refuse(place, "this cannot be a key")
                return ABSENT
            found[key] = self.read(pair[1], value, f"{place}[{key!r:.60}]", annotation_of(value))
        return found

    def _read_items(self, nodes: list[Any], olds: Sequence[Any], place: str, annotation: Any) -> list[Any]:
        written = [self.write(item, f"{place}[{index}]") for index, item in enumerate(olds)]
        return [
            self.read(node, ABSENT if match is None else olds[match], f"{place}[{index}]", annotation)
            for index, (node, match) in enumerate(zip(nodes, counterparts(nodes, written), strict=True))
        ]

    def _read_plain(self, node: Any, place: str, annotation: Any) -> Any:
        if annotation is float and type(node) is int:
            return float(node)
        if annotation is Any or annotation is object:
            return node
        value = from_json_value(node, None, (annotation,), self._catalog)
        if not _fits(value, annotation) and isinstance(node, dict | list):
            errors = [error for member in members(annotation) for error in validation_errors(node, member)]
            if errors:
                self.refuse(place, f"expected {_expected(annotation)}: {'; '.join(errors)}")
                return ABSENT
        return value


def counterparts(nodes: Sequence[Any], written: Sequence[Any]) -> list[int | None]:
    """Return which of the items before each item is: an equal one, or else the one in its place."""
    texts = [_text(item) for item in written]
    left: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        left.setdefault(text, []).append(index)
    found: list[int | None] = []
    taken: set[int] = set()
    for node in nodes:
        same = left.get(_text(node))
        match = same.pop(0) if same else None
        found.append(match)
        taken.update(() if match is None else (match,))
    for index, match in enumerate(found):
        if match is None and index < len(written) and index not in taken:
            found[index] = index
    return found


def _leave_unset(value: Any, old: Any) -> None:
    """Let fields of a model that were not given, and still are as they were, count as not given: JSON says them all."""
    if not isinstance(value, BaseModel) or type(value) is not type(old) or value is old:
        return
    for name in type(value).model_fields:
        mine, theirs = getattr(value, name, None), getattr(old, name, None)
        _leave_unset(mine, theirs)
        if name not in old.model_fields_set and difference(mine, theirs) is None:
            value.model_fields_set.discard(name)


def annotation_of(value: Any) -> Any:
    """Return the type that a value has, as an annotation; anything for what is not there."""
    if value is ABSENT or value is None:
        return Any
    if type(value) is list and value:
        return list[union([annotation_of(item) for item in value])]  # type: ignore[misc]
    return type(value)


def _of_old(old: Any, part: Any) -> Any:
    return annotation_of(old) if part is Any else part


def union(annotations: Sequence[Any]) -> Any:
    """Return the type that allows any of several; of none, and with one that is anything, it is anything."""
    distinct = list(dict.fromkeys(annotations))
    if not distinct or any(item is Any or item is object for item in distinct):
        return Any
    return Union[tuple(distinct)]  # noqa: UP007


def _part(annotation: Any, cls: type[Any], index: int) -> Any:
    """Return what is expected within a list or dictionary."""
    for member in members(annotation):
        if runtime_class(member) is cls and len(get_args(member)) > index:
            return get_args(member)[index]
    return Any


def _allows(annotation: Any, cls: type[Any]) -> bool:
    return any(member is Any or member is object or runtime_class(member) is cls for member in members(annotation))


def _fits(value: Any, annotation: Any) -> bool:
    if annotation is Any or annotation is object:
        return True
    if type(value) is bool:  # To Python it is an int.
        return any(member not in (int, float) and matches(value, member) for member in members(annotation))
    return matches(value, annotation)


def _kept_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if _KEPT in node:
            yield str(node[_KEPT])
        for item in node.values():
            yield from _kept_names(item)
    elif isinstance(node, list):
        for item in node:
            yield from _kept_names(item)


def _expected(annotation: Any) -> str:
    return " or ".join(readable_name(member) for member in members(annotation))


def _kind(node: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    if isinstance(node, dict) and _TYPE in node:
        return str(node[_TYPE])
    return names.get(type(node), "null" if node is None else type(node).__name__)


def _text(node: Any) -> str:
    return json.dumps(node, sort_keys=True)
