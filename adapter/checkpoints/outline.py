"""What a checkpoint holds, for people: read from its text and without any type, so also where the graph has changed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent_framework import WorkflowCheckpoint

from ..advice import Advice, Step, Way
from ..encoding.document import CONTENT, NESTING, OBJECT, REFERENCE, Document, parse
from ..encoding.off_loop import off_loop
from ..errors import CheckpointCorruptedError
from ..framework.internals import BUFFERS, EXECUTOR_STATE, FRAMEWORK_STATE, REQUEST_FIELDS, SUB_WORKFLOW, current_key
from ..framework.static import type_key
from .label import EDITED_AT, EDITED_BY

_MAX_VALUES = 1_000_000
_LEFT_OUT = "(not shown: too large or too deeply nested)"
_SEQUENCES = {"$tuple": "builtins:tuple", "$set": "builtins:set", "$frozenset": "builtins:frozenset"}
_TYPE = "$type"
_SET_FIELDS = "__pydantic_fields_set__"
"""Which fields of a model were given, not what they are."""
_PARTS = ("state", "executor_state", "messages", "fan_in", "pending_requests")
"""What checkpoints are compared by, beside their sub-workflows'."""
_MAX_MATCHED = 2_000
"""Items of a list up to which it is found out which have been put in or taken out."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing in which a checkpoint differs from another."""

    kind: Literal["added", "removed", "changed"]
    place: str
    before: Any = None
    after: Any = None


async def outline(raw: bytes) -> dict[str, Any]:
    """Return what a raw checkpoint holds as JSON data; objects say their class under `$type`.

    Raises:
        CheckpointCorruptedError: When the bytes are no checkpoint.
    """
    return await off_loop(len(raw), lambda: _outline(raw))


def _outline(raw: bytes) -> dict[str, Any]:
    try:
        found = _Plain(parse(raw)).checkpoint()
    except Exception as error:  # Damaged text may lack anything.
        raise CheckpointCorruptedError(
            Advice(
                f"The checkpoint's bytes are not a valid checkpoint ({type(error).__name__}: {error}). Choose an "
                "earlier one with ",
                Step(Way.CHECKPOINTS),
                ".",
            )
        ) from error
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return in what two outlines differ: state, executors' state, messages, requests; not in ids and times.

    The same goes for sub-workflows; of one that is in one of them only, all of that is the difference.
    """
    return list(_outline_changes(before, after, ""))


def _outline_changes(before: Mapping[str, Any], after: Mapping[str, Any], place: str) -> Iterator[Change]:
    for part in _PARTS:
        yield from _changes(before.get(part, _empty(part)), after.get(part, _empty(part)), f"{place}{part}")
    olds, news = (outline.get("sub_workflows", {}) for outline in (before, after))
    for name in olds | news:
        where = f"{place}sub_workflows{_member(name)}"
        if name in olds and name in news:
            yield from _outline_changes(olds[name], news[name], f"{where}.")
        elif name in olds:
            yield Change("removed", where, before=_compared(olds[name]))
        else:
            yield Change("added", where, after=_compared(news[name]))


def _compared(outline: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is compared of an outline."""
    found = {part: outline[part] for part in _PARTS if outline.get(part)}
    nested = {name: _compared(inner) for name, inner in outline.get("sub_workflows", {}).items()}
    return {**found, **({"sub_workflows": nested} if nested else {})}


def _empty(part: str) -> Any:
    return [] if part in ("messages", "fan_in") else {}


class _Plain:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = _MAX_VALUES

    def checkpoint(self) -> dict[str, Any]:
        found = self._value(self._document.body, 0)
        if not isinstance(found, dict) or current_key(found.get(_TYPE, "")) != type_key(WorkflowCheckpoint):
            raise ValueError("they are those of something else")
        return _sections(found)

    def _value(self, node: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > NESTING:
            return _LEFT_OUT
        if isinstance(node, list):
            return [self._value(item, depth + 1) for item in node]
        if not isinstance(node, dict):
            return node
        if REFERENCE in node:
            return self._value(self._document.parts[node[REFERENCE]], depth + 1)
        if OBJECT in node:
            key, fields = self._document.fields(node)
            found = {_TYPE: key}
            # Of an object what is None says nothing that its class does not.
            found.update(
                (name, self._value(item, depth + 1))
                for name, item in fields.items()
                if item is not None and name != _SET_FIELDS
            )
            if CONTENT in node:
                found["value"] = self._value(node[CONTENT], depth + 1)
            return found
        tag = next(iter(node), "")
        if tag in _SEQUENCES:
            return {_TYPE: _SEQUENCES[tag], "value": self._value(node[tag], depth + 1)}
        if tag == "$dict":
            items = self._value(node[tag], depth + 1)
            return {_TYPE: "builtins:dict", "value": [list(pair) for pair in zip(items[::2], items[1::2], strict=True)]}
        if tag == "$type" and len(node) == 1 and isinstance(node[tag], str):
            return node[tag]
        return {name: self._value(item, depth + 1) for name, item in node.items()}


def _sections(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    metadata, state = checkpoint.get("metadata", {}), checkpoint.get("state", {})
    kept = state.get(EXECUTOR_STATE, {})
    found: dict[str, Any] = {
        "checkpoint_id": checkpoint["checkpoint_id"],
        "previous_checkpoint_id": checkpoint.get("previous_checkpoint_id"),
        "workflow": checkpoint["workflow_name"],
        "superstep": checkpoint["iteration_count"],
        "timestamp": checkpoint.get("timestamp"),
        **{name: metadata[name] for name in (EDITED_BY, EDITED_AT) if name in metadata},
        "state": {key: value for key, value in state.items() if key not in FRAMEWORK_STATE},
        "executor_state": {
            name: {key: value for key, value in own.items() if key != SUB_WORKFLOW}
            for name, own in kept.items()
            if isinstance(own, dict) and set(own) != {SUB_WORKFLOW} and own
        },
        "messages": [_message(item) for items in checkpoint.get("messages", {}).values() for item in items],
        "pending_requests": {
            name: {ours: event.get(theirs) for ours, theirs in REQUEST_FIELDS.items() if ours != "request_id"}
            for name, event in checkpoint.get("pending_request_info_events", {}).items()
        },
    }
    edges, buffer = BUFFERS
    buffered = [
        _message(item)
        for group in state.get(edges, {}).values()
        for items in group.get(buffer, {}).values()
        for item in items
    ]
    inner = {name: own[SUB_WORKFLOW] for name, own in kept.items() if isinstance(own, dict) and SUB_WORKFLOW in own}
    nested = {name: _sections(own) for name, own in inner.items() if isinstance(own, dict) and "workflow_name" in own}
    return {**found, **({"fan_in": buffered} if buffered else {}), **({"sub_workflows": nested} if nested else {})}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    found = {"from": message.get("source_id"), "to": message.get("target_id"), "data": message.get("data")}
    asked = message.get("original_request_info_event")
    if isinstance(asked, dict):
        found = {"response_to": asked.get(REQUEST_FIELDS["request_id"]), **found}
    return {name: value for name, value in found.items() if value is not None}


def _changes(before: Any, after: Any, place: str) -> Iterator[Change]:
    if _text(before) == _text(after):
        return
    if isinstance(before, dict) and isinstance(after, dict) and before.get(_TYPE) == after.get(_TYPE):
        for name in before | after:
            where = f"{place}{_member(name)}"
            if name not in after:
                yield Change("removed", where, before=before[name])
            elif name not in before:
                yield Change("added", where, after=after[name])
            else:
                yield from _changes(before[name], after[name], where)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_changes(before, after, place)
    else:
        yield Change("changed", place, before, after)


def _member(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{name!r}]"


def _list_changes(before: list[Any], after: list[Any], place: str) -> Iterator[Change]:
    olds, news = ([_text(item) for item in items] for items in (before, after))
    codes: list[tuple[str, int, int, int, int]]
    if max(len(before), len(after)) <= _MAX_MATCHED:
        codes = list(difflib.SequenceMatcher(None, olds, news, autojunk=False).get_opcodes())
    else:
        codes = [("replace", 0, len(before), 0, len(after))]
    for code, start, end, new_start, new_end in codes:
        if code == "equal":
            continue
        both = min(end - start, new_end - new_start)
        for offset in range(both):
            yield from _changes(before[start + offset], after[new_start + offset], f"{place}[{new_start + offset}]")
        for index in range(start + both, end):
            yield Change("removed", f"{place}[{index}]", before=before[index])
        for index in range(new_start + both, new_end):
            yield Change("added", f"{place}[{index}]", after=after[index])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
