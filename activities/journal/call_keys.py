"""What names a call of a model or a tool: what it is called with, so that the next attempt knows it again."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from agent_framework import ChatContext, Content, FunctionInvocationContext, Message
from pydantic import BaseModel

from ...adapter.framework.internals import is_generated_call_id
from ...adapter.framework.static import type_key

_MAX_DEPTH = 40
_NOT_SENT = frozenset({"raw_representation", "additional_properties", "annotations", "id", "call_id"})
"""Attributes of contents that say nothing of what a model is asked."""


def chat_key(context: ChatContext) -> str:
    """Return a digest of what a model is asked: by whom, which messages, which options and tools.

    Ids are left out, since some are random: calls that are equal but for them are told apart by their order.
    """
    client = context.client
    named = [getattr(client, name, None) for name in ("name", "model")]
    call_ids: dict[str, int] = {}
    asked = [
        type_key(type(client)),
        [name for name in named if isinstance(name, str)],
        context.stream,
        [_message(message, call_ids) for message in context.messages],
        _plain(context.options or {}, call_ids, 0),
    ]
    return _digest(asked)


def tool_key(context: FunctionInvocationContext) -> str:
    """Return what names a call of a tool: the id the model gave it, else what the tool is called with."""
    name, call_id = context.function.name, str(context.metadata.get("call_id") or "")
    if not call_id or is_generated_call_id(call_id):
        return f"{name}:{_digest(_plain(context.arguments, {}, 0))}"
    return f"{name}:{call_id}"


def _digest(document: Any) -> str:
    return blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=16).hexdigest()


def _message(message: Any, call_ids: dict[str, int]) -> Any:
    if not isinstance(message, Message):
        return _plain(message, call_ids, 0)
    contents = [_plain(content, call_ids, 0) for content in message.contents]
    return [str(message.role), message.author_name, contents]


def _content(content: Content, call_ids: dict[str, int], depth: int) -> dict[str, Any]:
    found = {
        name: _plain(value, call_ids, depth) for name, value in vars(content).items() if value and name not in _NOT_SENT
    }
    if content.call_id:  # Which result belongs to which call.
        found["call_id"] = call_ids.setdefault(content.call_id, len(call_ids))
    return found


def _plain(value: Any, call_ids: dict[str, int], depth: int) -> Any:
    """Return data that is the same in each process; of what is no data, its name."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    depth += 1
    if depth > _MAX_DEPTH:
        return type_key(type(value))
    if isinstance(value, Content):
        return _content(value, call_ids, depth)
    if isinstance(value, Message):
        return _message(value, call_ids)
    if isinstance(value, enum.Enum):
        return [type_key(type(value)), value.name]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, call_ids, depth) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, call_ids, depth) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(_plain(item, call_ids, depth), sort_keys=True) for item in value)
    if isinstance(value, str | bytes | int | float):
        return [type_key(type(value)), str(value)]
    if isinstance(value, type):
        return type_key(value)
    if isinstance(value, BaseModel):
        return [type_key(type(value)), _plain(dict(value), call_ids, depth)]
    name = getattr(value, "name", None) or getattr(value, "__qualname__", None)
    return [type_key(type(value)), name if isinstance(name, str) else None]
