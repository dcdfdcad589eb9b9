"""Values to JSON and back: pydantic first, the framework's own coercion for its own types. Never pickle."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from ._errors import PayloadError
from ._framework import coerce_value, matches
from ._types import TypeCatalog, members, runtime_class, type_key, type_name

_SCALARS = (str, int, float, bool, type(None))


def to_json_value(value: Any, what: str) -> Any:
    """Return `value` as plain JSON data.

    Args:
        value: JSON data, a pydantic model, a dataclass, a framework object, or containers of these.
        what: Names the value in the error, e.g. "The message".

    Raises:
        PayloadError: When a part of it has no JSON form.
    """
    try:
        return to_jsonable_python(value, fallback=_framework_dict, inf_nan_mode="constants")
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        raise PayloadError(
            f"{what} ({type(value).__name__}) cannot travel as JSON: {error}. Make it a pydantic model, a dataclass or "
            "plain JSON data."
        ) from error


def preview(value: Any) -> tuple[Any, int]:
    """Return `value` as readable JSON for an event record, best effort, and its size in bytes."""
    data = to_jsonable_python(value, fallback=_framework_dict_or_text, serialize_unknown=True, inf_nan_mode="strings")
    return data, len(to_json(data, inf_nan_mode="strings"))


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
    if key is not None:
        named = catalog.resolve(key)
        exact = [candidate for candidate in candidates if named is not None and runtime_class(candidate) is named]
        if exact:
            candidates = exact
        elif named is not None:
            candidates = [named]
    else:
        for candidate in candidates:
            if matches(data, candidate):
                return data
    for candidate in candidates:
        value = build(data, candidate)
        if matches(value, candidate):
            return value
    return data


def build(data: Any, annotation: Any) -> Any:
    """Validate JSON data to `annotation`; return `data` unchanged when it does not fit."""
    adapter = _adapter(annotation)
    if adapter is not None:
        try:
            return adapter.validate_json(to_json(data))
        except ValidationError:
            return data
    return coerce_value(data, annotation)


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
    except Exception:  # A preview must not fail a superstep; to_dict is any class's own code.
        return f"{type(value).__name__}: {value}"[:500]
