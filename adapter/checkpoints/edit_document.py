"""A checkpoint as JSON that a person edits: what it says is typed by what was there, and by what executors declare.

JSON stands for itself. An object of a class is `{"$type": "my_workflow:Draft", ...}` with its fields; what is no object
in JSON has its content under `value` there. What JSON cannot say is `{"$kept": ...}`, which stays as it is.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union, get_args

from agent_framework import WorkflowEvent, WorkflowMessage
from pydantic import BaseModel

from ...workflows.display import one_line
from ..encoding.differences import difference
from ..errors import EditRefusedError
from ..framework.catalog import TypeCatalog, members, readable_name, runtime_class, type_name
from ..framework.internals import event_types, internal_source, is_response, matches
from ..framework.static import type_key
from ..framework.values import from_json_value, preview, to_json_value, validation_errors
from .editing import CheckpointEdit, new_request

HEADER = ("checkpoint_id", "superstep")
_TYPE, _VALUE, _KEPT = "$type", "value", "$kept"
_SECTIONS = ("state", "executor_state", "messages", "fan_in", "pending_requests", "sub_workflows")
_SEQUENCES = {"builtins:tuple": tuple, "builtins:set": set, "builtins:frozenset": frozenset}
_DICT = "builtins:dict"
_MAX_LEVELS = 60
_MAX_SHOWN = 200
_ABSENT: Any = object()


class EditDocument:
    """The JSON of a checkpoint, and the way back.

    Args:
        original: The checkpoint as it is.
        catalog: The classes that may be part of it.
    """

    def __init__(self, original: CheckpointEdit, catalog: TypeCatalog) -> None:
        self._original = original
        self._values = _Values(catalog)
        self.content: dict[str, Any] = {
            "checkpoint_id": original.checkpoint_id,
            "superstep": original.superstep,
            **self._written(original, ""),
        }
        """The whole, as JSON data."""

    def apply(self, document: Mapping[str, Any], edit: CheckpointEdit) -> None:
        """Make in `edit` the changes that an edited document says.

        Args:
            document: The whole, as `content` is; or, without `checkpoint_id`, only what is to be another: keys of
                `state` and of an executor's state, requests by id, and `messages` as a whole.
            edit: Another copy of the checkpoint.

        Raises:
            EditRefusedError: Naming the places that cannot be read.
        """
        whole = "checkpoint_id" in document
        problems: list[str] = []
        if whole:
            for name in HEADER:
                if document.get(name) != self.content[name]:
                    problems.append(f"`{name}`: it says what is edited, and stays {self.content[name]!r}.")
        unknown = sorted(set(document) - {*_SECTIONS, *(HEADER if whole else ())})
        if unknown:
            problems.append(f"`{unknown[0]}`: there is no such part; there are {', '.join(_SECTIONS)}.")
        self._values.begin(problems)
        self._read(document, self._original, edit, "", whole=whole)
        if whole:
            self._values.check_kept()
        if problems:
            raise EditRefusedError(problems)

    def _written(self, edit: CheckpointEdit, place: str) -> dict[str, Any]:
        write = self._values.write
        found: dict[str, Any] = {
            "state": {key: write(value, f"{place}state[{key!r}]") for key, value in edit.state.items()},
            "executor_state": {
                name: {key: write(value, f"{place}executor_state[{name!r}][{key!r}]") for key, value in state.items()}
                for name, state in edit.executor_state.items()
                if state
            },
            "messages": [
                self._message(message, f"{place}messages[{index}]") for index, message in enumerate(edit.messages)
            ],
        }
        if edit.buffered:
            found["fan_in"] = [
                self._message(message, f"{place}fan_in[{index}]") for index, message in enumerate(edit.buffered)
            ]
        found["pending_requests"] = {
            request_id: self._request(event, f"{place}pending_requests[{request_id!r}]")
            for request_id, event in edit.pending.items()
        }
        if edit.sub_workflows:
            found["sub_workflows"] = {
                name: self._written(inner, f"{place}sub_workflows[{name!r}].")
                for name, inner in edit.sub_workflows.items()
            }
        return found

    def _message(self, message: WorkflowMessage, place: str) -> dict[str, Any]:
        data = self._values.write(message.data, f"{place}.data")
        if is_response(message):
            asked = message.original_request_info_event
            return {
                "response_to": asked.request_id if asked is not None else None,
                "to": message.target_id,
                "data": data,
            }
        if message.source_id == internal_source(message.target_id or ""):
            return {"to": message.target_id, "data": data}
        found: dict[str, Any] = {"from": message.source_id}
        if message.target_id is not None:
            found["to"] = message.target_id
        return {**found, "data": data}

    def _request(self, event: WorkflowEvent[Any], place: str) -> dict[str, Any]:
        return {
            "executor_id": event.source_executor_id,
            "request": self._values.write(event.data, f"{place}.request"),
            "response_type": type_name(event_types(event)[1]),
        }

    def _read(
        self, document: Mapping[str, Any], before: CheckpointEdit, edit: CheckpointEdit, place: str, *, whole: bool
    ) -> None:
        values = self._values
        state = values.mapping(document.get("state", _ABSENT), f"{place}state")
        if state is not None:
            edit.state = self._keys(state, before.state, edit.annotations, f"{place}state", whole=whole)
        self._read_executors(document, before, edit, place, whole=whole)
        if "messages" in document:
            edit.messages = self._messages(document["messages"], before, f"{place}messages")
        if "fan_in" in document or (whole and before.buffered):
            self._buffered(document.get("fan_in"), before, edit, f"{place}fan_in")
        requests = values.mapping(document.get("pending_requests", _ABSENT), f"{place}pending_requests")
        if requests is not None:
            self._requests(requests, before, edit, f"{place}pending_requests", whole=whole)
        inner = values.mapping(document.get("sub_workflows", _ABSENT), f"{place}sub_workflows")
        for name, given in (inner or {}).items():
            where = f"{place}sub_workflows[{name!r:.60}]"
            found = values.mapping(given, where)
            if name not in edit.sub_workflows:
                values.refuse(where, f"there is no such sub-workflow; there are {sorted(edit.sub_workflows)}")
            elif found is not None:
                self._read(found, before.sub_workflows[name], edit.sub_workflows[name], f"{where}.", whole=whole)

    def _read_executors(
        self, document: Mapping[str, Any], before: CheckpointEdit, edit: CheckpointEdit, place: str, *, whole: bool
    ) -> None:
        values = self._values
        executors = values.mapping(document.get("executor_state", _ABSENT), f"{place}executor_state")
        for name in list(edit.executor_state) if executors is not None and whole else ():
            if name not in (executors or {}) and edit.executor_state[name]:
                values.refuse(f"{place}executor_state[{name!r}]", "an executor's state stays; remove keys of it")
        for name, given in (executors or {}).items():
            where = f"{place}executor_state[{name!r:.60}]"
            found = values.mapping(given, where)
            declared = before.declared.executors.get(name)
            if declared is None:
                values.refuse(where, f"there is no such executor; there are {sorted(before.declared.executors)}")
            elif found is not None:
                kept = before.executor_state.get(name, {})
                edit.executor_state[name] = self._keys(found, kept, declared.state, where, whole=whole)

    def _keys(
        self,
        given: Mapping[str, Any],
        before: Mapping[str, Any],
        declared: Mapping[str, Any],
        place: str,
        *,
        whole: bool,
    ) -> dict[str, Any]:
        found = {} if whole else dict(before)
        for key, node in given.items():
            old = before.get(key, _ABSENT)
            where = f"{place}[{key!r:.60}]"
            found[key] = self._values.read(node, old, where, declared.get(key, _annotation_of(old)))
        return found

    def _messages(self, given: Any, before: CheckpointEdit, place: str) -> list[WorkflowMessage]:
        nodes = self._values.sequence(given, place)
        written = [self._message(message, f"{place}[{index}]") for index, message in enumerate(before.messages)]
        found: list[WorkflowMessage] = []
        for index, (node, match) in enumerate(zip(nodes, _counterparts(nodes, written), strict=True)):
            where = f"{place}[{index}]"
            fields = self._values.mapping(node, where)
            if fields is None:
                continue
            old = before.messages[match] if match is not None else None
            message = self._read_message(fields, old, before, where)
            if message is not None:
                found.append(message)
        return found

    def _read_message(
        self, fields: Mapping[str, Any], old: WorkflowMessage | None, before: CheckpointEdit, place: str
    ) -> WorkflowMessage | None:
        source, target = fields.get("from"), fields.get("to")
        unknown = sorted(set(fields) - {"from", "to", "data", "response_to"})
        if unknown or "data" not in fields:
            self._values.refuse(place, f"expected `from`, `to` and `data`, got {sorted(fields)}")
            return None
        if old is not None and is_response(old):
            same = self._message(old, place)
            if any(fields.get(name) != same[name] for name in ("response_to", "to")):
                self._values.refuse(place, "of a response only `data` can be changed")
            expected = event_types(old.original_request_info_event)[1] if old.original_request_info_event else Any
            return _with_data(old, self._values.read(fields["data"], old.data, f"{place}.data", expected))
        if "response_to" in fields:
            self._values.refuse(place, "a response is not made up: give it with `responses` instead")
            return None
        source = internal_source(str(target)) if source is None else source
        receivers = before.declared.receivers(str(source), target)
        expected = _union([item for name in receivers for item in before.declared.expected(name)])
        data = self._values.read(fields["data"], _ABSENT if old is None else old.data, f"{place}.data", expected)
        if old is not None and (old.source_id, old.target_id) == (source, target):
            return _with_data(old, data)
        return WorkflowMessage(data=data, source_id=str(source), target_id=target)

    def _buffered(self, given: Any, before: CheckpointEdit, edit: CheckpointEdit, place: str) -> None:
        nodes = self._values.sequence(given, place)
        if len(nodes) != len(before.buffered):
            self._values.refuse(place, f"expected {len(before.buffered)} messages: they can be changed, and stay")
            return
        for index, (node, old) in enumerate(zip(nodes, before.buffered, strict=True)):
            where = f"{place}[{index}]"
            fields = self._values.mapping(node, where)
            same = self._message(old, where)
            if fields is None or {**fields, "data": None} != {**same, "data": None}:
                self._values.refuse(where, "only its `data` can be changed")
                continue
            receivers = before.declared.receivers(old.source_id, old.target_id)
            expected = _union([item for name in receivers for item in before.declared.expected(name)])
            edit.buffered[index].data = self._values.read(fields["data"], old.data, f"{where}.data", expected)

    def _requests(
        self, given: Mapping[str, Any], before: CheckpointEdit, edit: CheckpointEdit, place: str, *, whole: bool
    ) -> None:
        if whole:
            edit.pending = {name: event for name, event in edit.pending.items() if name in given}
        for request_id, node in given.items():
            where = f"{place}[{request_id!r:.60}]"
            fields = self._values.mapping(node, where)
            if fields is None:
                continue
            old = before.pending.get(request_id)
            executor_id = fields.get("executor_id", old.source_executor_id if old is not None else None)
            pairs = [*before.pairs(executor_id)] if executor_id in before.declared.executors else []
            named = {type_name(answered): answered for _, answered in pairs}
            response = fields.get("response_type", type_name(event_types(old)[1]) if old is not None else None)
            if executor_id not in before.declared.executors or response not in named:
                self._values.refuse(
                    where,
                    f"expected `executor_id` of {sorted(before.declared.executors)} and its `response_type`"
                    f"{f' of {sorted(named)}' if named else ''}, got {executor_id!r:.60} and {response!r:.60}",
                )
                continue
            expected = _union([asked for asked, answered in pairs if type_name(answered) == response])
            old_data = _ABSENT if old is None else old.data
            data = self._values.read(fields.get("request"), old_data, f"{where}.request", expected)
            asked = edit.pending.get(request_id)
            if asked is not None and (asked.source_executor_id, event_types(asked)[1]) == (
                executor_id,
                named[response],
            ):
                asked.data = data
            else:
                edit.pending[request_id] = new_request(request_id, str(executor_id), data, named[response])


class _Values:
    """Values to JSON and back."""

    def __init__(self, catalog: TypeCatalog) -> None:
        self._catalog = catalog
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._met: set[str] = set()
        self._problems: list[str] = []

    def begin(self, problems: list[str]) -> None:
        """Read anew, and note what is wrong."""
        self._problems = problems
        self._met = set()

    def refuse(self, place: str, reason: str) -> None:
        """Note what is wrong."""
        self._problems.append(f"`{place}`: {reason}.")

    def check_kept(self) -> None:
        """Refuse a document that lacks what cannot be written in it."""
        for name, (node, _) in self._kept.items():
            if name not in self._met:
                self.refuse(name, f"what JSON cannot say stays as it was; put {json.dumps(node)} back")

    def mapping(self, node: Any, place: str) -> Mapping[str, Any] | None:
        """Return an object; None where there is none, which is noted unless it is left out."""
        if isinstance(node, Mapping):
            return node
        if node is not _ABSENT:
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
            if data is not _ABSENT:
                return {_TYPE: type_key(kind), _VALUE: data}
        node = {_KEPT: place, "type": type_key(kind), "shown": one_line(json.dumps(preview(value)[0]), _MAX_SHOWN)}
        self._kept[place] = (node, value)
        return node

    def _as_json(self, value: Any) -> Any:
        """Return a value's JSON, if it comes back from there as it is."""
        kind = type(value)
        try:
            data = to_json_value(value, "It")
            arrived = from_json_value(data, type_key(kind), (kind,), self._catalog)
            same = difference(value, arrived) is None
        except Exception:  # Validators, and comparisons, are the values' own code.
            return _ABSENT
        return data if same else _ABSENT

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
        if old is not _ABSENT and _text(node) == _text(self.write(old, place)):
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
                    item, olds.get(key, _ABSENT), f"{place}[{key!r:.60}]", _of_old(olds.get(key, _ABSENT), part)
                )
                for key, item in node.items()
            }
        else:
            value = self._read_plain(node, place, annotation)
        if value is not _ABSENT and not _fits(value, annotation):
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
            self.refuse(place, "what JSON cannot say stays as it was: do not change its placeholder")
            return _ABSENT
        if name in self._met:
            self.refuse(place, "what JSON cannot say is there once: do not copy its placeholder")
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
                self.refuse(place, "a set holds what can be a key")
                return _ABSENT
        if key == _DICT:
            return self._read_pairs(content, old, place)
        cls = type(old) if old is not _ABSENT and key == type_key(type(old)) else self._catalog.resolve(str(key))
        if cls is None:
            self.refuse(place, f"{key!r:.100} is no type that this workflow declares")
            return _ABSENT
        value = from_json_value(content, str(key), (cls,), self._catalog)
        if type(value) is not cls:
            errors = "; ".join(validation_errors(content, cls)) or f"got {_kind(content)}"
            self.refuse(place, f"expected {readable_name(cls)}: {errors}")
            return _ABSENT
        return value

    def _read_pairs(self, content: Any, old: Any, place: str) -> Any:
        olds = old if isinstance(old, dict) else {}
        found = {}
        for pair in self.sequence(content, place):
            if not isinstance(pair, list) or len(pair) != 2:
                self.refuse(place, "expected pairs of a key and a value")
                return _ABSENT
            key = self.read(pair[0], _ABSENT, f"{place} key", Any)
            try:
                value = olds.get(key, _ABSENT)
            except TypeError:
                self.refuse(place, "a key is what can be a key")
                return _ABSENT
            found[key] = self.read(pair[1], value, f"{place}[{key!r:.60}]", _annotation_of(value))
        return found

    def _read_items(self, nodes: list[Any], olds: Sequence[Any], place: str, annotation: Any) -> list[Any]:
        written = [self.write(item, f"{place}[{index}]") for index, item in enumerate(olds)]
        return [
            self.read(node, _ABSENT if match is None else olds[match], f"{place}[{index}]", annotation)
            for index, (node, match) in enumerate(zip(nodes, _counterparts(nodes, written), strict=True))
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
                return _ABSENT
        return value


def _with_data(message: WorkflowMessage, data: Any) -> WorkflowMessage:
    return dataclasses.replace(message, data=data)


def _counterparts(nodes: Sequence[Any], written: Sequence[Any]) -> list[int | None]:
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


def _annotation_of(value: Any) -> Any:
    """Return the type that a value has, as an annotation; anything for what is not there."""
    if value is _ABSENT or value is None:
        return Any
    if type(value) is list and value:
        return list[_union([_annotation_of(item) for item in value])]  # type: ignore[misc]
    return type(value)


def _of_old(old: Any, part: Any) -> Any:
    return _annotation_of(old) if part is Any else part


def _union(annotations: Sequence[Any]) -> Any:
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
