"""A form without a script for what a JSON Schema asks for, and what a person has sent with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..framework.values import resolved_schema

_MAX_DEPTH = 3
_MAX_FIELDS = 100
_LONG = 200
_YES, _NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form."""

    path: tuple[str, ...]
    """Where its value goes; empty where it is the whole."""
    schema: Mapping[str, Any]
    required: bool

    @property
    def name(self) -> str:
        """Its name in the form."""
        return "field:" + json.dumps(self.path)

    @property
    def label(self) -> str:
        """What a person is shown."""
        title = self.schema.get("title")
        return title if isinstance(title, str) and title else ".".join(self.path) or "Response"


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields for a schema; what has no field of its own is JSON in one."""
    found = list(_fields(schema, schema, (), required=True))
    return found if 0 < len(found) <= _MAX_FIELDS else [Field((), {}, True)]


def _fields(
    root: Mapping[str, Any], schema: Mapping[str, Any], path: tuple[str, ...], *, required: bool
) -> Iterator[Field]:
    schema = resolved_schema(root, schema)
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties and len(path) < _MAX_DEPTH and required:
        needed = schema.get("required")
        for name, inner in properties.items():
            if isinstance(inner, Mapping):
                is_needed = isinstance(needed, Sequence) and name in needed
                yield from _fields(root, inner, (*path, str(name)), required=is_needed)
        return
    yield Field(path, schema, required)


def html_of(field: Field, given: str | None) -> str:
    """Return a field as HTML, with what was given for it before."""
    default = field.schema.get("default")
    value = given if given is not None else _as_text(default) if "default" in field.schema else ""
    name, needed = escape(field.name), " required" if field.required and "default" not in field.schema else ""
    hint = field.schema.get("description")
    identity = "hint-" + "-".join(field.path).encode().hex()  # It has no spaces, whatever the names are.
    said = f'<small id="{identity}">{escape(hint)}</small>' if isinstance(hint, str) else ""
    described = f' aria-describedby="{identity}"' if said else ""
    return (
        f"<label>{escape(field.label)}{'' if field.required else ' (optional)'}"
        f"{_control(field.schema, name, value, needed + described)}</label>{said}"
    )


def _control(schema: Mapping[str, Any], name: str, value: str, more: str) -> str:
    choices = schema.get("enum")
    kind = schema.get("type")
    if isinstance(choices, list):
        return _select([_as_text(item) for item in choices], name, value, more)
    if kind == "boolean":
        return _select([_YES, _NO], name, {"true": _YES, "false": _NO}.get(value, value), more)
    if kind in ("integer", "number"):
        step = "1" if kind == "integer" else "any"
        bounds = "".join(
            f' {attribute}="{schema[key]}"'
            for key, attribute in (("minimum", "min"), ("maximum", "max"))
            if isinstance(schema.get(key), int | float)
        )
        return f'<input type="number" step="{step}"{bounds} name="{name}" value="{escape(value)}"{more}>'
    most = schema.get("maxLength")
    if kind == "string" and isinstance(most, int) and most <= _LONG:
        return f'<input type="text" maxlength="{most}" name="{name}" value="{escape(value)}"{more}>'
    if kind == "string":
        return f'<textarea rows="4" name="{name}"{more}>\n{escape(value)}</textarea>'
    return f'<textarea rows="6" name="{name}" spellcheck="false" placeholder="JSON"{more}>\n{escape(value)}</textarea>'


def _select(choices: Sequence[str], name: str, value: str, more: str) -> str:
    options = "".join(
        f'<option value="{escape(item)}"{" selected" if item == value else ""}>{escape(item)}</option>'
        for item in ["", *choices]
    )
    return f'<select name="{name}"{more}>{options}</select>'


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def value_of(fields: Sequence[Field], sent: Mapping[str, str]) -> Any:
    """Return what a person has filled in, as JSON data.

    Raises:
        ValueError: Naming the field, and what is wanted there.
    """
    found: Any = {}
    for field in fields:
        text = sent.get(field.name, "").replace("\r\n", "\n")
        if not text and (not field.required or "default" in field.schema):
            continue
        value = _parsed(field, text)
        if not field.path:
            return value
        inner = found
        for part in field.path[:-1]:
            inner = inner.setdefault(part, {})
        inner[field.path[-1]] = value
    return found


def _parsed(field: Field, text: str) -> Any:
    schema = field.schema
    choices, kind = schema.get("enum"), schema.get("type")
    if isinstance(choices, list):
        for item in choices:
            if _as_text(item) == text:
                return item
        raise ValueError(f"{field.label}: choose one of {', '.join(map(_as_text, choices))}")
    if kind == "string":
        return text
    if kind == "boolean":
        if text not in (_YES, _NO):
            raise ValueError(f"{field.label}: choose yes or no")
        return text == _YES
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        wanted = {"integer": "a whole number", "number": "a number"}.get(
            str(kind), "JSON; a text goes in double quotes"
        )
        raise ValueError(f"{field.label}: this takes {wanted}") from error
