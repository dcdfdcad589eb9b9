"""Asks a person for the response to a request, field by field as its JSON Schema says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.text import Text

from ...workflows.display import json_text, one_line, terminal_line
from ...workflows.messages import PendingRequest
from ..framework.values import resolved_schema
from .output import Output
from .text import text_of

_MAX_DEPTH = 4
_SKIP = object()

_Ask = Callable[[str], str]


async def ask_all(output: Output, requests: Sequence[PendingRequest]) -> dict[str, Any]:
    """Ask for the response to each of several requests; an empty line at the first question skips a request."""
    answers: dict[str, Any] = {}
    for request in requests:
        show_request(output, request)
        answer = await ask(output, request)
        if answer is not _SKIP:
            answers[request.request_id] = answer
    return answers


def show_request(output: Output, request: PendingRequest) -> None:
    """Write what is asked, in full, behind a gutter."""
    output.heading(f"{request.executor_id} asks, request {request.request_id}")
    data = request.request
    text = text_of(data)
    if text is not None or not isinstance(data, dict):
        output.quoted(text if text is not None else json_text(data, indent=2))
    else:
        for name, value in data.items():
            shown = value if isinstance(value, str) else json_text(value)
            if len(shown) > 60 or "\n" in shown:
                output.quoted(f"{terminal_line(name)}:", style="dim")
                output.quoted(shown)
            else:
                output.quoted(f"{terminal_line(name):14} {shown}")
    for refused in request.errors or ():
        who = f" by {refused.responder}" if refused.responder else ""
        output.quoted(f"refused answer{who}: {refused.error}", style="red")


async def ask(output: Output, request: PendingRequest) -> Any:
    """Ask for the response to a request."""
    form = Form(output, request.response_schema or {})
    output.line(f"response, {request.response_type.rpartition(':')[2]}", style="dim")
    # A prompt blocks; what holds the connection to the server must not.
    return await asyncio.to_thread(form.fill)


class Form:
    """One form.

    Args:
        output: Where it is shown.
        schema: The JSON Schema of what is asked for.
        read: Reads a line after a prompt; the terminal's `input` by default.
    """

    def __init__(self, output: Output, schema: Mapping[str, Any], read: _Ask | None = None) -> None:
        self._output = output
        self._schema = schema
        self._read = read or self._input

    def fill(self) -> Any:
        """Ask for the whole."""
        return self._value(self._schema, "", depth=0, required=True, default=_SKIP)

    def _input(self, prompt: str) -> str:
        return self._output.console.input(Text(terminal_line(prompt), style="bold"))

    def _value(self, schema: Mapping[str, Any], name: str, *, depth: int, required: bool, default: Any) -> Any:
        schema = resolved_schema(self._schema, schema)
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and properties and depth < _MAX_DEPTH:
            if not required and not self._yes_or_no(f"{name}: give one?", default=False):
                return _SKIP
            return self._object(schema, properties, name, depth)
        return self._field(schema, name or "response", required=required, default=schema.get("default", default))

    def _object(self, schema: Mapping[str, Any], properties: Mapping[str, Any], name: str, depth: int) -> Any:
        required = schema.get("required", [])
        found: dict[str, Any] = {}
        for key, inner in properties.items():
            label = f"{name}.{key}" if name else key
            value = self._value(inner, label, depth=depth + 1, required=key in required, default=_SKIP)
            if value is not _SKIP:
                found[key] = value
        return found

    def _field(self, schema: Mapping[str, Any], label: str, *, required: bool, default: Any) -> Any:
        hint = _hint(schema)
        if schema.get("description"):
            self._output.quoted(one_line(str(schema["description"]), 200), style="dim")
        shown = "" if default is _SKIP else f" [{json_text(default)}]"
        optional = "" if required or default is not _SKIP else ", optional"
        while True:
            text = self._read(f"  {one_line(label, 200)} ({one_line(hint, 200)}{optional}){shown}: ").strip()
            if not text and (default is not _SKIP or not required):
                return default
            try:
                return _parse(schema, text)
            except ValueError as error:
                self._output.line(f"  {error}", style="red")

    def _yes_or_no(self, question: str, *, default: bool) -> bool:
        while True:
            text = self._read(f"  {question} (yes or no) [{'yes' if default else 'no'}]: ").strip().lower()
            if not text:
                return default
            if text in _BOOLEANS:
                return _BOOLEANS[text]


_BOOLEANS = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}


def _hint(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(str(item) for item in schema["enum"])
    kind = schema.get("type")
    names = {"string": "text", "boolean": "yes or no", "integer": "whole number", "number": "number"}
    if isinstance(kind, str) and kind in names:
        return names[kind] + _bounds(schema)
    if kind == "array" and _of_texts(schema):
        return "texts, with commas"
    return "JSON"


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" from {low}" if low is not None else f" up to {high}" if high is not None else ""


def _of_texts(schema: Mapping[str, Any]) -> bool:
    return isinstance(schema.get("items"), Mapping) and schema["items"].get("type") == "string"


def _parse(schema: Mapping[str, Any], text: str) -> Any:
    """Return what a person has written as the schema wants it.

    Raises:
        ValueError: Saying what is wanted.
    """
    if "enum" in schema:
        for item in schema["enum"]:
            if text in (item, str(item)):
                return item
        raise ValueError(_hint(schema))
    kind = schema.get("type")
    if kind == "string":
        return text
    if kind == "boolean":
        if text.lower() not in _BOOLEANS:
            raise ValueError("yes or no")
        return _BOOLEANS[text.lower()]
    if kind in ("integer", "number"):
        return _number(schema, text, kind)
    if kind == "array" and _of_texts(schema) and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"not valid JSON ({error}); put text in double quotes") from error


def _number(schema: Mapping[str, Any], text: str, kind: str) -> int | float:
    try:
        number = int(text) if kind == "integer" else float(text)
    except ValueError as error:
        raise ValueError(_hint(schema)) from error
    low, high = schema.get("minimum"), schema.get("maximum")
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(_hint(schema))
    return number


def is_skipped(answer: Any) -> bool:
    """Tell whether a form was left empty."""
    return answer is _SKIP
