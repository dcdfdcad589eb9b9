"""Values to JSON and back: pydantic first, the framework's own coercion for its own types. Never pickle."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import math
from collections import deque
from collections.abc import Callable, Mapping, Set
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import from_json, to_json, to_jsonable_python

from ...workflows.value_limits import (
    LIMITS,
    MAX_DEPTH,
    TOO_DEEP,
    clean_text,
    flaw,
    legible,
    words_for,
)
from ..errors import PayloadError
from .catalog import PLAIN_CLASSES, TypeCatalog, members, runtime_class
from .internals import coerce_value, matches
from .static import type_key

_SCALARS = (str, int, float, bool, type(None))
_BYTES = "agent_framework_temporal.bytes"
_FLOAT = "agent_framework_temporal.float"
"""Keys of the stand-ins of what JSON cannot say: bytes that are no text, NaN and the infinities."""
_JSON_CONTAINERS = frozenset({"builtins:list", "builtins:dict"})
_PREVIEW_TEXT = 500
_MAX_ERRORS = 5
_MAX_SHOWN_PARTS, _MAX_SHOWN_DEPTH = 1_000_000, 200
"""Of a value that is shown as JSON. JSON readers refuse what is nested deeper."""


class NoJSONError(PayloadError):
    """A value has no JSON form; it may have another."""


def to_json_value(value: Any, what: str) -> Any:
    """Return `value` as plain JSON data.

    Args:
        value: JSON data, a pydantic model, a dataclass, a framework object, or containers of these.
        what: Names the value in the error, e.g. "The message".

    Raises:
        NoJSONError: When a part of it has no JSON form.
        PayloadError: When it has one that no reader takes.
    """
    try:
        try:
            data = to_jsonable_python(value, fallback=_framework_dict, inf_nan_mode="constants")
        except ValueError:  # Most likely bytes that are no text: take the value apart to get at them.
            data = _marked(value)
        text = to_json(data, inf_nan_mode="constants")
        if b"NaN" in text or b"Infinity" in text:
            data = _marked(data)
            text = to_json(data)
    except Exception as error:  # Serializers are the value's own code, which may raise anything.
        words = words_for(str(error))
        found = f"{words}, or contains itself" if words == TOO_DEEP else words
        raise (PayloadError if words in LIMITS else NoJSONError)(
            f"{what} ({type(value).__name__}) cannot be sent as JSON: {found}. Make it a pydantic model, a dataclass "
            "or plain JSON data."
        ) from error
    problem = flaw(text)
    if problem is not None:
        raise PayloadError(
            f"{what} ({type(value).__name__}) could not be read by its receiver: {problem}. Send plain data within "
            "these limits, or a reference to it."
        )
    return data


class Shown(NamedTuple):
    """What people, and programs without the workflow's types, are shown of a value."""

    data: Any
    """JSON that every reader takes."""
    size: int
    """Bytes of the value's JSON, as far as it has one."""
    whole: bool
    """Whether `data` says all of it; else it holds words for what no reader would take."""


def preview(value: Any) -> tuple[Any, int]:
    """Return `value` as readable JSON for an logged event, best effort, and its size in bytes.

    Never raises: what is shown of an event must not decide whether a superstep succeeds. A value that holds itself, or
    the same over and over, is shown by its kind alone: as JSON it would have no end, or be larger than any memory.
    """
    return shown(value)[:2]


def shown(value: Any) -> Shown:
    """Return `value` as readable JSON, best effort; see `preview`."""
    if not _is_shown(value):
        text = to_json(f"{type(value).__name__}: (too large to be shown)")
        return Shown(from_json(text), len(text), whole=False)
    data: Any = None
    exact = False
    try:
        data = to_jsonable_python(value, fallback=_framework_dict_or_text, serialize_unknown=True)
        text = to_json(data, inf_nan_mode="strings")
        exact = b"NaN" not in text and b"Infinity" not in text
    except Exception:
        try:
            text = to_json(_marked(value), inf_nan_mode="strings")
        except Exception:
            text = to_json(_text(value))
            return Shown(from_json(text), len(text), whole=False)
    problem = flaw(text)
    if problem is None:
        return Shown(data if exact else from_json(text), len(text), whole=True)
    if problem == TOO_DEEP:
        return Shown(_too_deep(value, f" ({len(text):,} bytes)"), len(text), whole=False)
    return Shown(from_json(legible(text)), len(text), whole=False)


def _is_shown(value: Any) -> bool:
    """Tell whether a value has few enough parts to be made JSON of, each counted as often as it is met."""
    left = _MAX_SHOWN_PARTS
    level = [value]
    for _ in range(_MAX_SHOWN_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list | tuple | set | frozenset | deque):
                below += item
            elif not isinstance(item, type):
                below += getattr(item, "__dict__", {}).values()
                if dataclasses.is_dataclass(item):
                    below += [getattr(item, found.name, None) for found in dataclasses.fields(item)]
            if len(below) > left:
                return False
        left -= len(below)
        level = below
        if not level:
            return True
    return False


def wire_type(value: Any) -> str | None:
    """Return the type name that travels beside a JSON value; None where the JSON itself says it."""
    return None if type(value) in _SCALARS else type_key(type(value))


def from_json_value(data: Any, key: str | None, declared: tuple[Any, ...], catalog: TypeCatalog) -> Any:
    """Build the typed value of JSON from outside.

    Args:
        data: JSON data.
        key: Type name its sender gave (`module:qualname`), or None from a sender without types.
        declared: The types that are expected, e.g. the start executor's input types; unions are taken apart.
        catalog: Resolves `key`: only declared and registered classes are ever built.

    Returns:
        An instance of one of the types, or `data` unchanged when none fits: the framework then refuses it in its own
        words.
    """
    candidates = [member for annotation in declared for member in members(annotation)]
    data, marked = _unmarked(data)
    if key is None or key in _JSON_CONTAINERS:
        for candidate in candidates:
            if matches(data, candidate):
                return data
    named = catalog.resolve(key) if key is not None else None
    exact = [candidate for candidate in candidates if named is not None and runtime_class(candidate) is named]
    if exact:
        candidates = exact
    elif named is not None and type_key(named) not in PLAIN_CLASSES and _is_expected(named, candidates):
        candidates = [named]
    else:
        for candidate in candidates:
            if matches(data, candidate):
                return data
    for candidate in candidates:
        value = build(data, candidate, marked=marked)
        if matches(value, candidate):
            return value
    return data


def _is_expected(named: type[Any], candidates: list[Any]) -> bool:
    """Tell whether an instance of the class a sender named could be what is declared: a subclass, or anything."""
    classes = [object if candidate is Any else runtime_class(candidate) for candidate in candidates]
    return any(cls is not None and issubclass(named, cls) for cls in classes)


def build(data: Any, annotation: Any, *, marked: bool = False) -> Any:
    """Validate JSON data to `annotation`; return `data` unchanged when it does not fit.

    Only models and dataclasses are lenient about their fields, as the framework is: a text is no number and no yes.

    Args:
        data: JSON data.
        annotation: The type.
        marked: Whether `data` holds values that JSON cannot say.
    """
    adapter = adapter_of(annotation)
    if adapter is None:
        return _coerced(data, annotation)
    attempts: list[Callable[[], Any]] = [lambda: adapter.validate_json(to_json(data), strict=True)]
    if marked:
        attempts = [lambda: adapter.validate_python(data)]
    elif _has_fields(annotation):
        attempts.append(lambda: adapter.validate_json(to_json(data)))
    for attempt in attempts:
        try:
            return attempt()
        except ValidationError as error:
            tuples = any(item["type"] == "enum" and isinstance(item["input"], list) for item in error.errors())
        except Exception:  # Validators are the type's own code.
            tuples = False
    if tuples:  # An enum of tuples, which JSON turns into lists.
        with contextlib.suppress(ValidationError):
            return adapter.validate_python(_tuples(data))
    return _coerced(data, annotation)


def _coerced(data: Any, annotation: Any) -> Any:
    try:
        return coerce_value(data, annotation)
    except Exception:  # Constructors are the type's own code.
        return data


def _has_fields(annotation: Any) -> bool:
    return isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel))


def validation_errors(data: Any, annotation: Any) -> list[str]:
    """Say what pydantic finds wrong with JSON data for a type; never the data itself, which may be anybody's."""
    adapter = adapter_of(annotation)
    if adapter is None:
        return []
    try:
        adapter.validate_json(to_json(data))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return [f"{'.'.join(map(str, item['loc'])) or 'response'}: {item['msg']}" for item in found[:_MAX_ERRORS]]
    except Exception as error:  # Validators are the type's own code.
        return [type(error).__name__]
    return []


def resolved_schema(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a JSON schema with its references followed, and as the one alternative that is not null.

    Args:
        root: The whole schema.
        schema: The part.
    """
    for _ in range(10):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            target = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
            continue
        alternatives = [item for item in schema.get("anyOf", []) if item.get("type") != "null"]
        if len(alternatives) == 1:
            schema = {**alternatives[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
            continue
        break
    return schema


def json_schema(annotation: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of a type; None for types pydantic does not know, and where nobody could read it."""
    try:
        return _cached_schema(annotation)
    except TypeError:  # An unhashable annotation, such as a Literal with a list.
        return None


@lru_cache(maxsize=1024)
def _cached_schema(annotation: Any) -> dict[str, Any] | None:
    adapter = _cached_adapter(annotation)
    if adapter is None:
        return None
    try:
        schema = adapter.json_schema()
        return schema if flaw(to_json(schema)) is None else None
    except (PydanticUserError, ValueError, RecursionError):
        return None


@lru_cache(maxsize=1024)
def _cached_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, NameError):
        return None


def adapter_of(annotation: Any) -> TypeAdapter[Any] | None:
    """Return pydantic's validator of a type; None for types it does not know."""
    try:
        return _cached_adapter(annotation)
    except TypeError:  # An unhashable annotation, such as a Literal with a list.
        return None


def _tuples(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _tuples(item) for key, item in data.items()}
    return tuple(map(_tuples, data)) if isinstance(data, list) else data


def _framework_dict(value: Any) -> Any:
    """Serialize the framework's own objects, which pydantic does not know."""
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict) and not isinstance(value, type):
        return to_dict()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} has no JSON form")


def _framework_dict_or_text(value: Any) -> Any:
    if isinstance(value, type):
        return type_key(value)
    try:
        return _framework_dict(value)
    except Exception:  # to_dict is any class's own code.
        return _text(value)


def _text(value: Any) -> str:
    try:
        text = str(value)
    except RecursionError:
        return _too_deep(value, "")
    except Exception:
        text = "(no text)"
    if len(text) > _PREVIEW_TEXT:
        text = f"{text[:_PREVIEW_TEXT]} ... ({len(text):,} characters)"
    return clean_text(f"{type(value).__name__}: {text}")


def _too_deep(value: Any, size: str) -> str:
    return f"({type(value).__name__}, nested more than {MAX_DEPTH} levels deep{size})"


def _marked(value: Any) -> Any:
    """Return `value` as JSON data, with stand-ins for what JSON cannot say."""
    if isinstance(value, BaseModel):
        return _marked(value.model_dump(by_alias=True, warnings=False))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _marked(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        keys = to_jsonable_python([{key: None} for key in value], fallback=_framework_dict)
        return {next(iter(key)): _marked(item) for key, item in zip(keys, value.values(), strict=True)}
    if isinstance(value, list | tuple | Set):
        return [_marked(item) for item in value]
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(value)}
    return to_jsonable_python(value, fallback=_framework_dict)


def _unmarked(data: Any) -> tuple[Any, bool]:
    """Return `data` with its stand-ins replaced, and whether there were any."""
    text = to_json(data)
    if _BYTES.encode() not in text and _FLOAT.encode() not in text:
        return data, False
    replaced = _replaced(data)
    return replaced, replaced != data


def _replaced(data: Any) -> Any:
    if isinstance(data, list):
        return [_replaced(item) for item in data]
    if not isinstance(data, dict):
        return data
    try:
        if list(data) == [_BYTES]:
            return base64.b64decode(data[_BYTES], validate=True)
        if list(data) == [_FLOAT]:
            return float(data[_FLOAT])
    except (ValueError, TypeError):
        return data  # Somebody else's key.
    return {key: _replaced(item) for key, item in data.items()}
