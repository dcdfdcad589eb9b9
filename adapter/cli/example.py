"""What a message looks like on the command line: text, or JSON with an example of the type that the workflow takes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from ...workflows.display import json_text
from ..framework.internals import matches
from ..framework.values import json_schema

_MAX_DEPTH = 4
_ANY_TEXT = "..."


def takes_text(input_types: Sequence[Any]) -> bool:
    """Tell whether a workflow takes a text as its message."""
    return not input_types or any(matches("a message", each) for each in input_types)


def message_words(input_types: Sequence[Any]) -> list[str]:
    """Return the words by which a message is given: a text, or `--data` and JSON.

    Args:
        input_types: What the start executor takes.
    """
    return ["a message"] if takes_text(input_types) else ["--data", json_text(example_of(input_types))]


def example_of(input_types: Sequence[Any]) -> Any:
    """Return JSON data of one of the types: what it requires, by defaults and examples where it has some."""
    schema = json_schema(input_types[0]) or json_schema(functools.reduce(operator.or_, input_types))
    return _example(schema, schema, 0) if schema is not None else {}


def _example(schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int) -> Any:
    schema = _resolved(schema, whole)
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    return _plain(schema, whole, depth)


def _resolved(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(10):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            schema = whole.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
            continue
        alternatives = [item for key in ("anyOf", "oneOf", "allOf") for item in schema.get(key, ())]
        chosen = next((item for item in alternatives if item.get("type") != "null"), None)
        if chosen is None:
            break
        schema = chosen
    return schema


def _plain(schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int) -> Any:
    kind, properties = schema.get("type"), schema.get("properties")
    if isinstance(properties, Mapping) and depth < _MAX_DEPTH:
        # All of a type without required fields: an empty object would show nothing.
        names = schema.get("required") or list(properties)
        return {name: _example(properties.get(name, {}), whole, depth + 1) for name in names}
    if kind == "array":
        items = schema.get("items")
        return [_example(items, whole, depth + 1)] if isinstance(items, Mapping) and depth < _MAX_DEPTH else []
    if kind in ("integer", "number"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return least if kind == "number" else int(least)
    return {"boolean": True, "object": {}, "null": None}.get(str(kind), _ANY_TEXT)
