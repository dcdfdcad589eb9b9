"""Values to JSON and back: pydantic first, the framework's own coercion for its own types. Never pickle."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import math
from collections.abc import Callable, Set
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import from_json, to_json, to_jsonable_python

from ..errors import PayloadError
from .catalog import PLAIN_CLASSES, TypeCatalog, members, runtime_class, type_key, type_name
from .internals import coerce_value, matches

_SCALARS = (str, int, float, bool, type(None))
_BYTES = "agent_framework_temporal.bytes"
_FLOAT = "agent_framework_temporal.float"
"""Keys of the stand-ins of what JSON cannot say: bytes that are no text, NaN and the infinities."""
_PREVIEW_TEXT = 500
_MAX_ERRORS = 5


def to_json_value(value: Any, what: str) -> Any:
    """Return `value` as plain JSON data.

    Args:
        value: JSON data, a pydantic model, a dataclass, a framework object, or containers of these.
        what: Names the value in the error, e.g. "The message".

    Raises:
        PayloadError: When a part of it has no JSON form.
    """
    try:
        try:
            data = to_jsonable_python(value, fallback=_framework_dict, inf_nan_mode="constants")
        except ValueError:  # Most likely bytes that are no text: take the value apart to get at them.
            data = _marked(value)
        text = to_json(data, inf_nan_mode="constants")
        return _marked(data) if b"NaN" in text or b"Infinity" in text else data
    except Exception as error:  # Serializers are the value's own code, which may raise anything.
        raise PayloadError(
            f"{what} ({type(value).__name__}) cannot travel as JSON: {error}. Make it a pydantic model, a dataclass or "
            "plain JSON data."
        ) from error


def preview(value: Any) -> tuple[Any, int]:
    """Return `value` as readable JSON for an event record, best effort, and its size in bytes.

    Never raises: what is shown of an event must not decide whether a superstep succeeds.
    """
    try:
        data = to_jsonable_python(value, fallback=_framework_dict_or_text, serialize_unknown=True)
        text = to_json(data, inf_nan_mode="strings")
    except Exception:
        try:
            text = to_json(_marked(value), inf_nan_mode="strings")
        except Exception:
            text = to_json(_text(value))
        return from_json(text), len(text)
    return (from_json(text) if b"NaN" in text or b"Infinity" in text else data), len(text)


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
    adapter = _adapter(annotation)
    if adapter is None:
        return coerce_value(data, annotation)
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
    if tuples:  # An enum of tuples, which JSON turns into lists.
        with contextlib.suppress(ValidationError):
            return adapter.validate_python(_tuples(data))
    return coerce_value(data, annotation)


def _has_fields(annotation: Any) -> bool:
    return isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel))


def validation_errors(data: Any, annotation: Any) -> list[str]:
    """Say what pydantic finds wrong with JSON data for a type; never the data itself, which may be anybody's."""
    adapter = _adapter(annotation)
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


def json_schema(annotation: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of a type, or None for types pydantic does not know."""
    adapter = _adapter(annotation)
    if adapter is None:
        return None
    try:
        return adapter.json_schema()
    except PydanticUserError:
        return None


def describe(annotations: tuple[Any, ...]) -> str:
    """Return type names for a message."""
    return ", ".join(type_name(annotation) for annotation in annotations)


@lru_cache(maxsize=1024)
def _cached_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, NameError):
        return None


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
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
        text = str(value)[:_PREVIEW_TEXT]
    except Exception:
        text = "(no text)"
    return f"{type(value).__name__}: {text}".encode("utf-8", "replace").decode()


def _marked(value: Any) -> Any:
    """Return `value` as JSON data, with stand-ins for what JSON cannot say."""
    if isinstance(value, BaseModel):
        return _marked(value.model_dump(by_alias=True))
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
